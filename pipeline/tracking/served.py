"""What MLflow runs to serve a registered model. Models that are registered name this file and its class: they stay."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import get_tracking_uri
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from pipeline.tracking.request_errors import BadRequestError, install_error_handler

SERVER_VARIABLE = "__pyfunc_model_path__"  # what MLflow's server has in its environment
WEIGHTS_VARIABLE = "LAYERS_AND_NODES_WEIGHTS"  # where the server is told of a file of the backbone's weights


class ServedModel(PythonModel):
    """Our two files behind MLflow's interface; answers as `pipeline.predict` does."""

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the two files; raises MlflowException where they, or the backbone's weights, are not as they were.

        A server ends with that sentence.
        """
        from pipeline.artifact import model_files
        from pipeline.inference.serving import ModelServer
        from pipeline.runtime.errors import UserError

        weights_file, is_server = os.environ.get(WEIGHTS_VARIABLE), SERVER_VARIABLE in os.environ
        folder = Path(context.artifacts["architecture"]).parent
        try:
            self.model_server = ModelServer(
                model_files.load_trained_model(folder),
                Path(weights_file) if weights_file else None,
                _find_store() / "cache",
            )
        except UserError as error:
            is_model_error = isinstance(error, model_files.ModelError)
            hint = "" if is_model_error else f"; {WEIGHTS_VARIABLE}=<file> names a file of weights"
            message = f"{error}{hint}"
            raise (
                SystemExit(message) if is_server else MlflowException(message)
            ) from None  # a server has no one to catch it
        if is_server:
            install_error_handler()

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """A row of answers for each row; raises RefusedRequestError."""
        from pipeline.inference.serving import RequestError

        try:
            return self.model_server.predict(model_input)
        except RequestError as error:
            raise BadRequestError(str(error)) from None


def _find_store() -> Path:
    """The store whose database MLflow reads, if it is a store's: its cache may have the backbone's weights."""
    scheme, _, file = get_tracking_uri().partition(":///")
    return Path(file).parent if scheme == "sqlite" else Path("mlruns")
