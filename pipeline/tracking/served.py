"""What MLflow runs to serve a registered model. Models that are registered name this file and its class: they stay."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import get_tracking_uri
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from pipeline.tracking.request_errors import RefusedRequestError, in_one_sentence

SERVER = "__pyfunc_model_path__"  # what MLflow's server has in its environment
WEIGHTS = "LAYERS_AND_NODES_WEIGHTS"  # where the server is told of a file of the backbone's weights


class ServedModel(PythonModel):
    """Our two files behind MLflow's interface; answers as `pipeline.predict` does."""

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the two files; raises MlflowException where they, or the backbone's weights, are not as they were.

        A server ends with that sentence.
        """
        from pipeline.artifact import model_files
        from pipeline.data.examples import DataError
        from pipeline.inference.serving import Served

        weights, in_server = os.environ.get(WEIGHTS), SERVER in os.environ
        folder = Path(context.artifacts["architecture"]).parent
        try:
            self.served = Served(model_files.read(folder), Path(weights) if weights else None, _store() / "cache")
        except (model_files.ModelError, DataError) as error:
            hint = f"; {WEIGHTS}=<file> names a file of weights" if isinstance(error, DataError) else ""
            said = f"{error}{hint}"
            raise (
                SystemExit(said) if in_server else MlflowException(said)
            ) from None  # a server has no one to catch it
        if in_server:
            in_one_sentence()

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """A row of answers for each row; raises RefusedRequestError."""
        from pipeline.inference.serving import RequestError

        try:
            return self.served.answers(model_input)
        except RequestError as error:
            raise RefusedRequestError(str(error)) from None


def _store() -> Path:
    """The store whose database MLflow reads, if it is a store's: its cache may have the backbone's weights."""
    kind, _, file = get_tracking_uri().partition(":///")
    return Path(file).parent if kind == "sqlite" else Path("mlruns")
