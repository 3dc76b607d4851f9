"""What many tests share: small examples, a store with its database made, and one finished search."""

import gc
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from pipeline import preprocessing
from pipeline.config import schema
from pipeline.config.metrics import METRICS
from pipeline.config.reader import read_search
from pipeline.config.schema import ComputeConfig, CrossValidationConfig
from pipeline.data.examples import Examples, Images, Table
from pipeline.data.folds import make_folds
from pipeline.models import heads
from pipeline.runtime.arguments import run_reporting_errors
from pipeline.study.problem import Problem
from pipeline.tracking.process import FollowerHandle
from pipeline.training.device import resolve_device
from pipeline.training.trial_state import PredictionTask
from pipeline.tuner.search import run_search

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
TINY = ("dataset.count=90", "dataset.size=8", "training.epochs=3", "cv.folds=3", "compute=cpu")


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


def question(examples: Examples, head: schema.HeadConfig, metric: str, folds: int = 3, seed: int = 0) -> Problem:
    """A question about examples that are at hand."""
    splits = make_folds(examples, CrossValidationConfig(folds, 1, 0.2), seed)
    built = heads.build_head(head, examples)
    layout = preprocessing.build_inputs(examples, splits.development)
    task = PredictionTask(
        layout,
        built,
        METRICS[metric],
        torch.from_numpy(examples.targets.copy()),
        resolve_device(ComputeConfig("cpu", "fp32", 1, "auto")),
    )
    pictures = examples.inputs if isinstance(examples.inputs, Images) else None
    return Problem("study", "0" * 64, {}, examples, splits, layout, built, task, pictures)


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


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables, made once: making them takes seconds."""
    file = tmp_path_factory.mktemp("database") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments(max_results=1)
    return file


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Path:
    """A fresh store."""
    folder = tmp_path / "mlruns"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    return folder


_spare: list[FollowerHandle] = []  # started while the search before it runs: MLflow takes seconds to be imported


@pytest.fixture(scope="session", autouse=True)
def _no_spare_is_left() -> Iterator[None]:
    yield
    while _spare:
        with _spare.pop():
            pass


def search(store: Path, *words: str, expected: int = 0) -> Path:
    """Runs a whole search for real, and returns the folder of its study."""
    before = set((store / "studies").glob("*"))
    with _spare.pop() if _spare else FollowerHandle() as tracker:
        _spare.append(FollowerHandle())
        search = read_search([*words, f"store={store}"])
        assert run_reporting_errors(lambda: run_search(search, tracker), "interrupted") == expected
    after = set((store / "studies").glob("*"))
    (folder,) = after - before or after
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """The folder of one finished search for the breed of drawn cats; nothing may change it."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copy(empty_database, folder / "mlflow.db")
    return search(folder, "task=cat_species", *TINY, "dataset.count=120", "budget.trials=4")
