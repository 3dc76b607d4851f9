"""The code that MLflow keeps beside a registered model's two files; all that it does is in the installed package."""

from mlflow.models import set_model

from pipeline.tracking.served import ServedModel

set_model(ServedModel())
