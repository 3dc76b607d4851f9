"""Connection to MLflow: its tracking address, its database and its registry."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import RunInfo
from mlflow.exceptions import MlflowException

from pipeline.runtime.errors import first_line
from pipeline.runtime.files import atomic_path
from pipeline.runtime.suggestions import did_you_mean

MODEL_ARTIFACTS_FOLDER = "artifacts"  # of a model package: the model's two files


def store_uri(store: Path) -> str:
    """Return the tracking address of a store's own database."""
    return f"sqlite:///{(store / 'mlflow.db').resolve()}"


def connect(uri: str | None, store: Path) -> MlflowClient:
    """Return a client of an address, or of the store's own database, which one process at a time creates."""
    if uri:
        return MlflowClient(uri)
    _quiet_database_logging()
    with FileLock(store / ".mlflow.lock"):
        if not (store / "mlflow.db").exists():
            _create_database(store / "mlflow.db")
        client = MlflowClient(store_uri(store))
        client.search_experiments(max_results=1)
    return client


def _quiet_database_logging() -> None:
    """Turn off the logs of MLflow's database, whose content is in the exceptions too."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def _create_database(file: Path) -> None:
    """Create a database with MLflow's tables atomically: an incomplete one could never be opened again."""
    for suffix in ("-wal", "-shm"):  # of a lost database: SQLite would read them into the new one
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    with atomic_path(file) as temporary:
        MlflowClient(f"sqlite:///{temporary.resolve()}").search_experiments(max_results=1)
    with sqlite3.connect(file) as connection:  # with WAL, readers and writers do not wait for each other
        connection.execute("PRAGMA journal_mode=WAL")


def get_or_create_experiment(client: MlflowClient, task: str, artifact_location: str | None) -> str:
    """Return the id of a task's experiment, and create it if missing; artifact_location: of a new one."""
    existing = client.get_experiment_by_name(task)
    if existing is not None:
        return str(existing.experiment_id)
    try:
        return str(client.create_experiment(task, artifact_location=artifact_location))
    except MlflowException:
        if (existing := client.get_experiment_by_name(task)) is None:
            raise
        return str(existing.experiment_id)  # another search has created it meanwhile


@contextmanager
def download_model(model_uri: str, store: Path) -> Iterator[Path]:
    """Yield a temporary folder with the two files of a registered model, such as `models:/cat_species@champion`.

    Raises LookupError if there is no such model or it cannot be read; nothing is written then.
    """
    database_file = store / "mlflow.db"
    rebuild_hint = _suggest_rebuild(store)
    if not database_file.is_file():
        raise LookupError(
            f"{model_uri}: no registry at {database_file}; {rebuild_hint or 'say store=<folder>, or search first'}"
        )
    repair_hint = (
        f"move {database_file} away, and {rebuild_hint}" if rebuild_hint else "search again in another store=<folder>"
    )
    try:
        client, model_names = _open_registry(store)
    except Exception as error:  # noqa: BLE001 -- a file that is no database of MLflow's raises errors of many types
        raise LookupError(
            f"{model_uri}: {database_file} is damaged, or no registry ({first_line(error)}); {repair_hint}"
        ) from None
    try:
        run_info, artifact_path = _locate_model_artifact(client, model_uri)
    except MlflowException:
        raise LookupError(
            f"{model_uri}: not in the registry of store={store}{_suggest_model_name(model_uri, model_names)}"
        ) from None
    with TemporaryDirectory(prefix="model-") as temporary_folder:
        try:
            model_folder = Path(client.download_artifacts(run_info.run_id, artifact_path, temporary_folder))
        except (MlflowException, OSError):
            raise LookupError(
                f"{model_uri}: its files are no longer in {run_info.artifact_uri}; {repair_hint}"
            ) from None
        yield model_folder


def _suggest_rebuild(store: Path) -> str:
    """Return the command that rebuilds a store's registry from its studies, or "" if it has none."""
    store_argument = "" if store == Path("mlruns") else f" store={store}"
    has_studies = (store / "studies").is_dir()
    return f"python -m pipeline.sync{store_argument} makes it again from the studies there" if has_studies else ""


def _open_registry(store: Path) -> tuple[MlflowClient, list[str]]:
    """Return a client of the store's database, and the names of its models."""
    _quiet_database_logging()
    with closing(sqlite3.connect(store / "mlflow.db")) as connection:  # MLflow retries for minutes on a damaged file
        connection.execute("SELECT count(*) FROM sqlite_master")
    client = MlflowClient(store_uri(store))
    return client, sorted(found.name for found in client.search_registered_models())


def _suggest_model_name(model_uri: str, model_names: Sequence[str]) -> str:
    """Return a suggestion for a misspelt name, and the known names."""
    name = model_uri.removeprefix("models:/").partition("@")[0].partition("/")[0]
    suggestion = did_you_mean(name, model_names)
    return f"{suggestion}, which has {', '.join(model_names) or 'no model at all'}"


def _locate_model_artifact(client: MlflowClient, model_uri: str) -> tuple[RunInfo, str]:
    """Return the run whose artifacts hold a registered model's two files, and their path there."""
    name, _, alias = model_uri.removeprefix("models:/").partition("@")
    if alias:
        version = client.get_model_version_by_alias(name, alias)
    else:
        name, _, number = name.partition("/")
        version = client.get_model_version(name, number)
    run_info = client.get_run(str(version.run_id)).info
    artifact_path = str(version.source).removeprefix(f"{run_info.artifact_uri}/")
    files_path = f"{artifact_path}/{MODEL_ARTIFACTS_FOLDER}"  # versions of earlier releases have no package
    return run_info, files_path if any(
        each.path == files_path for each in client.list_artifacts(run_info.run_id, artifact_path)
    ) else artifact_path
