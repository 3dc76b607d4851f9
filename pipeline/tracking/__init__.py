"""MLflow tracking: an experiment for a task, a run for a study, a nested run for a trial."""

import os

MLFLOW_ENVIRONMENT = {  # read when MLflow is imported
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds; the follower tries again by itself
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}
for name, value in MLFLOW_ENVIRONMENT.items():
    os.environ.setdefault(name, value)
