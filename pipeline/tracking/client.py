"""The way to MLflow: its address, its database, its registry."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipeline.files import moved_whole

FILES = "artifacts"  # where a registered model has its two files, beside what MLflow serves it with


def store_uri(store: Path) -> str:
    """The tracking address of a store's own database."""
    return f"sqlite:///{(store / 'mlflow.db').resolve()}"


def connect(uri: str | None, store: Path) -> MlflowClient:
    """A client of an address, or of the store's own database, which is made first, by one process at a time."""
    if uri:
        return MlflowClient(uri)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # what it says is in the exception as well
    with FileLock(store / ".mlflow.lock"):
        if not (store / "mlflow.db").exists():
            _make(store / "mlflow.db")
        client = MlflowClient(store_uri(store))
        client.search_experiments(max_results=1)
    return client


def _make(file: Path) -> None:
    """A database with MLflow's tables, whole or not at all: one that was left half made could never be opened again."""
    with moved_whole(file) as temporary:
        MlflowClient(f"sqlite:///{temporary.resolve()}").search_experiments(max_results=1)
    with sqlite3.connect(file) as database:  # readers and writers then do not wait for each other
        database.execute("PRAGMA journal_mode=WAL")


def experiment(client: MlflowClient, task: str, place: str | None) -> str:
    """The id of a task's experiment, which is made where it is missing; place: where a new one keeps its files."""
    found = client.get_experiment_by_name(task)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(task, artifact_location=place))
    except MlflowException:
        if (found := client.get_experiment_by_name(task)) is None:
            raise
        return str(found.experiment_id)  # another search made it in between


@contextmanager
def fetched(uri: str, store: Path) -> Iterator[Path]:
    """A temporary folder with a registered model's two files, such as those of `models:/cat_species@champion`.

    Raises LookupError where the registry has no such model; nothing is written then.
    """
    if not (store / "mlflow.db").is_file():
        way_out = "say store=<folder>, or search first"
        if (store / "studies").is_dir():
            word = "" if store == Path("mlruns") else f" store={store}"
            way_out = f"python -m pipeline.sync{word} makes it again from the studies there"
        raise LookupError(f"{uri}: no registry at {store}/mlflow.db; {way_out}")
    client = MlflowClient(store_uri(store))
    try:
        run, path = _artifact(client, uri)
    except MlflowException:
        known = sorted(found.name for found in client.search_registered_models())
        near = get_close_matches(uri.removeprefix("models:/").partition("@")[0].partition("/")[0], known, 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        there = ", ".join(known) or "no model at all"
        raise LookupError(f"{uri}: not in the registry of store={store}{meant}, which has {there}") from None
    with TemporaryDirectory(prefix="model-") as place:
        yield Path(client.download_artifacts(run, path, place))


def _artifact(client: MlflowClient, uri: str) -> tuple[str, str]:
    """The run whose artifacts hold a registered model's two files, and where there."""
    name, _, alias = uri.removeprefix("models:/").partition("@")
    if alias:
        version = client.get_model_version_by_alias(name, alias)
    else:
        name, _, number = name.partition("/")
        version = client.get_model_version(name, number)
    run = client.get_run(str(version.run_id)).info
    path = str(version.source).removeprefix(f"{run.artifact_uri}/")
    inner = f"{path}/{FILES}"  # where they are since models can be served
    return run.run_id, inner if any(each.path == inner for each in client.list_artifacts(run.run_id, path)) else path
