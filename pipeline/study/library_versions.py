"""The versions of the libraries that a result may depend on."""

import platform
from importlib.metadata import version

REPORTED_LIBRARIES = "torch torchvision pytorch-lightning torchmetrics optuna mlflow hydra-core numpy scikit-learn"


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a result may depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in REPORTED_LIBRARIES.split()}
