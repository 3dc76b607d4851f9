"""What many tests share: small examples, a store with its database made, and one finished search."""

import gc
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from filelock import FileLock
from mlflow import MlflowClient
from xdist.scheduler import LoadScopeScheduling

from pipeline import preprocessing
from pipeline.config.heads import HeadConfig
from pipeline.config.metrics import METRICS
from pipeline.config.reader import read_search
from pipeline.config.schema import ComputeConfig, CrossValidationConfig, NumberEncoding
from pipeline.data.examples import Examples, Images, Table
from pipeline.data.folds import make_folds
from pipeline.models import heads
from pipeline.report import build
from pipeline.runtime.arguments import run_reporting_errors
from pipeline.study.problem import Problem
from pipeline.tracking import process
from pipeline.tracking.process import Tracker
from pipeline.training.device import resolve_device
from pipeline.training.trials import PredictionTask
from pipeline.tuner.search import run_search
from tests.preloaded import PreloadedServer

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
ONE_PROCESS = (
    "test_faults",
    "test_browser",
    "test_ui",
    "test_serving",
    "test_compare",
    "test_report",
    "test_untrusted",
    "test_finetuning",
)
LONGEST_FIRST = (  # modules of one process, such as test_ui, would otherwise leave the other process idle at the end
    "test_faults",
    "test_browser",
    "test_finetuning",
    "test_search",
    "test_executors",
    "test_export",
    "test_ui",
    "test_untrusted",
    "test_report",
    "test_readme",
    "test_serving",
    "test_compare",
)
TINY = ("dataset.count=90", "dataset.size=8", "training.epochs=3", "cv.folds=3", "compute=cpu", "references=[]")


def picture_examples(rows: int = 60, classes: int = 3, size: int = 8, seed: int = 0) -> Examples:
    """Pictures whose class can be told from their colour."""
    generator = np.random.default_rng(seed)
    targets = np.arange(rows) % classes
    pixels = (
        generator.integers(0, 120, (rows, 3, size, size)) + 60 * (np.arange(3) == targets[:, None])[:, :, None, None]
    )
    names = tuple(f"{row}.png" for row in range(rows))
    known = tuple("abcdefgh"[:classes])
    return Examples(
        Images(pixels.astype(np.uint8)), targets, "classes", names, np.arange(rows), np.zeros(rows, bool), known
    ).with_fingerprint()


def table_examples(rows: int = 80, seed: int = 0) -> Examples:
    """Two numbers, one of them missing in places, and a category; the target is a sum over them."""
    generator = np.random.default_rng(seed)
    numbers = generator.normal(10, 3, (rows, 2)).astype(np.float32)
    codes = generator.integers(0, 4, (rows, 1))
    targets = (numbers.sum(axis=1) + 5 * codes[:, 0] + 10).astype(np.float32)
    numbers[::9, 1] = np.nan
    table = Table(numbers, ("size", "age"), codes, ("zip",), (("10", "20", "30", "40"),))
    names = tuple(map(str, range(rows)))
    return Examples(table, targets, "numbers", names, np.arange(rows), np.zeros(rows, bool)).with_fingerprint()


def question(
    examples: Examples,
    head: HeadConfig,
    metric: str,
    folds: int = 3,
    seed: int = 0,
    encoding: NumberEncoding = "standard",
) -> Problem:
    """A question about examples that are at hand."""
    splits = make_folds(examples, CrossValidationConfig(folds, 1, 0.2), seed)
    built = heads.build_head(head, examples)
    layout = preprocessing.build_inputs(examples, splits.development, encoding)
    task = PredictionTask(
        layout,
        built,
        METRICS[metric],
        torch.from_numpy(examples.targets.copy()),
        resolve_device(ComputeConfig("cpu", "fp32", 1, "auto")),
    )
    pictures = examples.inputs if isinstance(examples.inputs, Images) else None
    return Problem("study", "0" * 64, {}, examples, splits, task, pictures)


class ModuleScheduling(LoadScopeScheduling):
    """Scheduling of single tests, except that a module with a shared server or browser runs in one process."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if any(name in module for name in ONE_PROCESS) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ModuleScheduling:
    """Return the scheduler: marks of groups have no effect with pytest 9.2, which xdist 3.8 does not know."""
    return ModuleScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests at the start."""
    items.sort(key=lambda item: next((place for place, name in enumerate(LONGEST_FIRST) if name in item.nodeid), 99))


@pytest.fixture(scope="session", autouse=True)
def _as_in_a_process_of_its_own() -> Iterator[None]:
    """Also where the tests themselves run in the background, or under nohup."""
    before = {
        number: signal.signal(number, handler)
        for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL))
    }
    yield
    gc.unfreeze()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def _followers_are_forked() -> Iterator[None]:
    """Fork each search's follower off one process that has MLflow imported."""
    server = PreloadedServer()
    with mock.patch.object(process, "start_follower", server.start_follower):
        yield
    server.close()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return a folder that all processes of this run of the tests have in common."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def made_once(folder: Path, make: Callable[[Path], Path]) -> Path:
    """Return what `make` made of a folder in the process that came first; the others wait for it."""
    made = folder / ".made"
    with FileLock(f"{folder}.lock"):
        if not made.exists():
            folder.mkdir()
            made.write_text(str(make(folder)))
    return Path(made.read_text())


@pytest.fixture(scope="session")
def empty_database(shared_folder: Path) -> Path:
    """Return MLflow's tables, made once: making them takes seconds."""

    def make(folder: Path) -> Path:
        file = folder / "mlflow.db"
        MlflowClient(f"sqlite:///{file}").search_experiments(max_results=1)
        return file

    return made_once(shared_folder / "database", make)


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Path:
    """Return a fresh store."""
    folder = tmp_path / "mlruns"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    return folder


def search(store: Path, *words: str, expected: int = 0, report: bool = False) -> Path:
    """Run a whole search for real, and return the folder of its study; the report only where a test reads it."""
    before = set((store / "studies").glob("*"))
    drawing = nullcontext() if report else mock.patch.object(build, "build_report")
    with Tracker() as tracker, drawing:
        config = read_search([*words, f"store={store}"])
        assert run_reporting_errors(lambda: run_search(config, tracker), "interrupted") == expected
    after = set((store / "studies").glob("*"))
    (folder,) = after - before or after
    return folder


@pytest.fixture(scope="session")
def finished(shared_folder: Path, empty_database: Path) -> Path:
    """Return the folder of one finished search for the breed of synthetic cats; nothing may change it."""

    def make(folder: Path) -> Path:
        shutil.copy(empty_database, folder / "mlflow.db")
        words = ["task=cat_species", *TINY, "dataset.count=120", "budget.trials=4"]
        return search(folder, *words, report=True)

    return made_once(shared_folder / "finished", make)
