"""Model server code that MLflow runs. Registered models name this module and its class, so neither may be renamed."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import get_tracking_uri
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from pipeline.tracking.compat import is_model_server
from pipeline.tracking.request_errors import BadRequestError, install_error_handler

WEIGHTS_VARIABLE = "LAYERS_AND_NODES_WEIGHTS"  # environment variable with the path of the backbone's weights file


class ServedModel(PythonModel):
    """A trained model behind MLflow's pyfunc interface, with the predictions of `pipeline.predict`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model; raise MlflowException if its files or the backbone's weights are missing or changed.

        A server exits with that message instead, since nothing there catches the exception.
        """
        from pipeline.artifact import model_files
        from pipeline.inference.serving import ModelServer
        from pipeline.runtime.errors import UserError

        variable = os.environ.get(WEIGHTS_VARIABLE)
        scheme, _, database = get_tracking_uri().partition(":///")
        store = Path(database).parent if scheme == "sqlite" else Path("mlruns")  # its cache may hold the weights
        try:
            model = model_files.load_trained_model(Path(context.artifacts["architecture"]).parent)
            self.model_server = ModelServer(model, Path(variable) if variable else None, store / "cache")
        except UserError as error:
            is_model_error = isinstance(error, model_files.ModelError)
            message = str(error) if is_model_error else f"{error}; {WEIGHTS_VARIABLE}=<file> names the weights file"
            raise (SystemExit if is_model_server() else MlflowException)(message) from None
        if is_model_server():
            install_error_handler()

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return a row of predictions for each row of the request; raise BadRequestError if it cannot be read."""
        from pipeline.inference.serving import RequestError

        try:
            return self.model_server.predict(model_input)
        except RequestError as error:
            raise BadRequestError.invalid_parameter_value(str(error)) from None
