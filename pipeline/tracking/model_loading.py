"""Trained models by their name: a folder, a task, or a model URI of MLflow's registry."""

from pathlib import Path

from pipeline.artifact.model_files import ModelError, TrainedModel, load_trained_model
from pipeline.runtime.arguments import UsageError
from pipeline.runtime.progress_bars import spinner


def load_model(name: str, store: Path) -> TrainedModel:
    """Return the model of a folder, of `models:/<task>@<alias>`, or the champion of a task; raise UsageError if none.

    Raises DataError if the package of its backbone is not installed.
    """
    try:
        with spinner("reading the model"):
            if Path(name).is_dir():
                return load_trained_model(Path(name))
            if "/" in name and not name.startswith("models:/"):
                raise UsageError(f"model: a folder that exists; got {name}")
            from pipeline.tracking.client import download_model  # a folder's model needs no MLflow

            with download_model(name if name.startswith("models:/") else f"models:/{name}@champion", store) as folder:
                return load_trained_model(folder)
    except (ModelError, LookupError) as error:
        raise UsageError(f"model: {error.args[0]}") from None
