"""Connection to MLflow: its tracking address, its database and its registry."""

import logging
import sqlite3
from collections.abc import Iterator
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
    """Return a client of an address, or of the store's own database, which is created if it is missing."""
    if uri:
        return MlflowClient(uri)
    _quiet_database_logging()
    with FileLock(store / ".mlflow.lock"):  # one process at a time creates the tables
        if not (store / "mlflow.db").exists():
            _create_database(store / "mlflow.db")
        client = MlflowClient(store_uri(store))
        client.search_experiments(max_results=1)
    return client


def _quiet_database_logging() -> None:
    """Silence the logs of MLflow's database: the exceptions say the same."""
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
    """Return the id of a task's experiment, and create it if it is missing; artifact_location: of a new one."""
    experiment = client.get_experiment_by_name(task)
    if experiment is None:
        try:
            return str(client.create_experiment(task, artifact_location=artifact_location))
        except MlflowException:  # another search may have created it meanwhile
            experiment = client.get_experiment_by_name(task)
            if experiment is None:
                raise
    return str(experiment.experiment_id)


@contextmanager
def download_model(model_uri: str, store: Path) -> Iterator[Path]:
    """Yield a temporary folder with the two files of a registered model, such as `models:/cat_species@champion`.

    Raises LookupError if there is no such model or it cannot be read.
    """
    database = store / "mlflow.db"
    argument = "" if store == Path("mlruns") else f" store={store}"
    rebuild = f"python -m pipeline.sync{argument} rebuilds it" if (store / "studies").is_dir() else ""
    if not database.is_file():
        raise LookupError(f"{model_uri}: no registry at {database}; {rebuild or 'say store=<folder>, or search first'}")
    repair = f"move {database} away, and {rebuild}" if rebuild else "search again in another store=<folder>"
    try:
        client, model_names = _open_registry(store)
    except Exception as error:  # noqa: BLE001 -- a file that is no database of MLflow's raises errors of many types
        reason = f"{database} is damaged, or no registry ({first_line(error)})"
        raise LookupError(f"{model_uri}: {reason}; {repair}") from None
    try:
        run_info, artifact_path = _find_model_files(client, model_uri)
    except MlflowException:
        name = model_uri.removeprefix("models:/").partition("@")[0].partition("/")[0]
        known = f"which has {', '.join(model_names) or 'no model'}"
        hint = did_you_mean(name, model_names)
        raise LookupError(f"{model_uri}: not in the registry of store={store}{hint}, {known}") from None
    with TemporaryDirectory(prefix="model-") as temporary_folder:
        try:
            model_folder = Path(client.download_artifacts(run_info.run_id, artifact_path, temporary_folder))
        except (MlflowException, OSError):
            reason = f"its files are no longer in {run_info.artifact_uri}"
            raise LookupError(f"{model_uri}: {reason}; {repair}") from None
        yield model_folder


def _open_registry(store: Path) -> tuple[MlflowClient, list[str]]:
    _quiet_database_logging()
    with closing(sqlite3.connect(store / "mlflow.db")) as connection:  # MLflow retries for minutes on a damaged file
        connection.execute("SELECT count(*) FROM sqlite_master")
    client = MlflowClient(store_uri(store))
    return client, sorted(model.name for model in client.search_registered_models())


def _find_model_files(client: MlflowClient, model_uri: str) -> tuple[RunInfo, str]:
    """Return the run whose artifacts hold a registered model's two files, and their path there."""
    name, _, alias = model_uri.removeprefix("models:/").partition("@")
    if alias:
        version = client.get_model_version_by_alias(name, alias)
    else:
        name, _, number = name.partition("/")
        version = client.get_model_version(name, number)
    run_info = client.get_run(str(version.run_id)).info
    artifact_path = str(version.source).removeprefix(f"{run_info.artifact_uri}/")
    files_path = f"{artifact_path}/{MODEL_ARTIFACTS_FOLDER}"
    has_package = any(file.path == files_path for file in client.list_artifacts(run_info.run_id, artifact_path))
    return run_info, files_path if has_package else artifact_path  # versions of earlier releases have no package
