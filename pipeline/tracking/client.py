"""The way to MLflow: its address, its database, its registry."""

from __future__ import annotations

import logging
import sqlite3
import tempfile
from pathlib import Path

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipeline.config.schema import Search


def store_uri(store: Path) -> str:
    """The tracking address of a store's own database."""
    return f"sqlite:///{(store / 'mlflow.db').resolve()}"


def uri(search: Search) -> str:
    """The tracking address of a search."""
    return search.tracking.uri or store_uri(search.store)


def connect(search: Search) -> MlflowClient:
    """A client; the store's own database is made first, by one process at a time."""
    if search.tracking.uri:
        return MlflowClient(search.tracking.uri)
    file = search.store / "mlflow.db"
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    with FileLock(search.store / ".mlflow.lock"):
        fresh = not file.exists()
        client = MlflowClient(store_uri(search.store))
        client.search_experiments(max_results=1)
        if fresh:  # readers and writers then do not wait for each other
            with sqlite3.connect(file) as database:
                database.execute("PRAGMA journal_mode=WAL")
    return client


def fetch(uri: str, store: Path) -> Path:
    """The folder of a registered model's two files, such as `models:/cat_species@champion`, copied where it is remote.

    Raises LookupError where the registry has no such model.
    """
    if not (store / "mlflow.db").is_file():
        raise LookupError(f"{uri}: no registry at {store}/mlflow.db; say store=<folder>, or search first")
    client = MlflowClient(store_uri(store))
    name, _, alias = uri.removeprefix("models:/").partition("@")
    try:
        if alias:
            version = client.get_model_version_by_alias(name, alias)
        else:
            name, _, number_ = name.partition("/")
            version = client.get_model_version(name, number_)
        run = client.get_run(str(version.run_id)).info
        path = str(version.source).removeprefix(f"{run.artifact_uri}/")
        return Path(client.download_artifacts(run.run_id, path, tempfile.mkdtemp(prefix="model-")))
    except MlflowException:
        known = ", ".join(sorted(found.name for found in client.search_registered_models())) or "no model at all"
        raise LookupError(f"{uri}: not in the registry of store={store}, which has {known}") from None
