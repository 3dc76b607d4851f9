"""The way to MLflow: its address, its database, its registry."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import RunInfo
from mlflow.exceptions import MlflowException

from pipeline.runtime.files import moved_whole

FILES = "artifacts"  # where a registered model has its two files, beside what MLflow serves it with


def store_uri(store: Path) -> str:
    """The tracking address of a store's own database."""
    return f"sqlite:///{(store / 'mlflow.db').resolve()}"


def connect(uri: str | None, store: Path) -> MlflowClient:
    """A client of an address, or of the store's own database, which is made first, by one process at a time."""
    if uri:
        return MlflowClient(uri)
    _hush()
    with FileLock(store / ".mlflow.lock"):
        if not (store / "mlflow.db").exists():
            _make(store / "mlflow.db")
        client = MlflowClient(store_uri(store))
        client.search_experiments(max_results=1)
    return client


def _hush() -> None:
    """What MLflow's database logs is in its exceptions as well."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _make(file: Path) -> None:
    """A database with MLflow's tables, whole or not at all: one that was left half made could never be opened again."""
    for left in ("-wal", "-shm"):  # of one that was lost or moved away: SQLite would read them into the new one
        file.with_name(file.name + left).unlink(missing_ok=True)
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

    Raises LookupError where there is no such model, or it cannot be read; nothing is written then.
    """
    file, again = store / "mlflow.db", _again(store)
    if not file.is_file():
        raise LookupError(f"{uri}: no registry at {file}; {again or 'say store=<folder>, or search first'}")
    away = f"move {file} away, and {again}" if again else "search again in another store=<folder>"
    try:
        client, known = _opened(store)
    except Exception as error:  # noqa: BLE001 -- what is no database of MLflow's has many faces
        raise LookupError(f"{uri}: {file} is damaged, or no registry ({_first(error)}); {away}") from None
    try:
        run, path = _artifact(client, uri)
    except MlflowException:
        raise LookupError(f"{uri}: not in the registry of store={store}{_meant(uri, known)}") from None
    with TemporaryDirectory(prefix="model-") as place:
        try:
            model = Path(client.download_artifacts(run.run_id, path, place))
        except (MlflowException, OSError):
            raise LookupError(f"{uri}: its files are no longer in {run.artifact_uri}; {away}") from None
        yield model


def _again(store: Path) -> str:
    """What makes a store's registry again, if anything does."""
    word = "" if store == Path("mlruns") else f" store={store}"
    there = (store / "studies").is_dir()
    return f"python -m pipeline.sync{word} makes it again from the studies there" if there else ""


def _opened(store: Path) -> tuple[MlflowClient, list[str]]:
    """A client of the store's database, and the names of the models there."""
    _hush()
    with closing(sqlite3.connect(store / "mlflow.db")) as database:  # MLflow tries for minutes
        database.execute("SELECT count(*) FROM sqlite_master")
    client = MlflowClient(store_uri(store))
    return client, sorted(found.name for found in client.search_registered_models())


def _first(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _meant(uri: str, known: Sequence[str]) -> str:
    """The name that may have been meant, and those that there are."""
    near = get_close_matches(uri.removeprefix("models:/").partition("@")[0].partition("/")[0], known, 1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    return f"{meant}, which has {', '.join(known) or 'no model at all'}"


def _artifact(client: MlflowClient, uri: str) -> tuple[RunInfo, str]:
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
    return run, inner if any(each.path == inner for each in client.list_artifacts(run.run_id, path)) else path
