"""Trained models by their name: a folder, a task, or a model URI of MLflow's registry."""

from pathlib import Path

from pipeline.artifact.model_files import ARCHITECTURE_FILE, ModelError, TrainedModel, load_trained_model
from pipeline.runtime.arguments import UsageError
from pipeline.runtime.progress_bars import spinner


def load_model(name: str, store: Path) -> TrainedModel:
    """Return the model of a folder, of `models:/<task>@<alias>`, or the champion of a task; raise UsageError if none.

    Raises DataError if the package of its backbone is not installed.
    """
    try:
        with spinner("reading the model"):
            folder = Path(name)
            # A task may have the name of a folder of images; the model of a task is meant unless the folder has one.
            if folder.is_dir() and ("/" in name or (folder / ARCHITECTURE_FILE).exists()):
                return load_trained_model(folder)
            if "/" in name and not name.startswith("models:/"):
                raise UsageError(f"model: a folder that exists; got {name}")
            from pipeline.tracking.client import download_model  # a folder's model needs no MLflow

            uri = name if name.startswith("models:/") else f"models:/{name}@champion"
            with download_model(uri, store) as downloaded_folder:
                return load_trained_model(downloaded_folder)
    except (ModelError, LookupError) as error:
        raise UsageError(f"model: {error.args[0]}") from None
