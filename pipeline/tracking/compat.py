"""Private parts of MLflow that the serving and the pages need; tests/tracking/test_compat.py names each."""

import os
from collections.abc import Callable
from typing import Any

SHARED_VIEW_TAG_PREFIX = "mlflow.sharedViewState."  # an experiment's tag with this prefix is a view of MLflow's page
SERVER_VARIABLE = "__pyfunc_model_path__"  # set in the environment of `mlflow models serve`


def is_model_server() -> bool:
    """Return whether this process is MLflow's own model server."""
    return SERVER_VARIABLE in os.environ


def replace_invocations(wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Wrap the function by which MLflow's model server in this process handles a request, unless it is wrapped."""
    from mlflow.pyfunc import scoring_server

    if not hasattr(scoring_server.invocations, "__wrapped__"):
        scoring_server.invocations = wrap(scoring_server.invocations)
