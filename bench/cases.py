"""Networks and data of the benchmark: five shapes on 2,000 rows in 5 folds, the same for every side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline import preprocessing
from pipeline.config.heads import SoftmaxConfig
from pipeline.config.metrics import METRICS
from pipeline.config.model import Model
from pipeline.config.schema import ComputeConfig, CrossValidationConfig, Training
from pipeline.data.examples import Examples, Images, Table
from pipeline.data.folds import Folds, make_folds
from pipeline.models import heads
from pipeline.training.device import resolve_device
from pipeline.training.engine import FoldData, StreamSeeds
from pipeline.training.fold_data import FoldDataBuilder
from pipeline.training.trials import PredictionTask

ROWS = 2_000
CLASSES = 12
FOLDS = 5
STREAM_SEEDS = StreamSeeds(0, 1)


@dataclass(frozen=True)
class Case:
    """A benchmark case: number of input features and hidden layers; 12,288 features are images of 64 x 64 pixels."""

    name: str
    features: int
    hidden: tuple[int, ...]
    epochs: int = 20

    @property
    def model(self) -> Model:
        return Model(self.hidden, "relu", 0.0)

    @property
    def training(self) -> Training:
        return Training(self.epochs, 64, 1e-3, 0.01, "adamw", None, flip=False, shift=0)


CASES = {
    case.name: case
    for case in (
        Case("A", 64, (16,)),
        Case("B", 512, (64, 64)),
        Case("C", 512, (256, 128, 64)),
        Case("D", 12_288, (128, 64)),
        Case("E", 12_288, (512, 256)),
    )
}


def make_blobs(case: Case, rows: int = ROWS) -> Examples:
    """Return Gaussian blobs, one for each class, with the number of features of the case."""
    generator = np.random.default_rng(0)
    targets = np.arange(rows) % CLASSES
    centers = generator.normal(0, 1, (CLASSES, case.features))
    values = generator.normal(0, np.sqrt(case.features) / 2, (rows, case.features)) + centers[targets]
    if case.features == 12_288:
        scaled = 128 + 40 * values / values.std()
        images = Images(scaled.clip(0, 255).astype(np.uint8).reshape(rows, 3, 64, 64))
        return make_examples(images, targets, CLASSES)
    return make_examples(make_table(values), targets, CLASSES)


def make_table(values: NDArray[np.floating]) -> Table:
    """Return a table whose columns are all numeric."""
    names = tuple(map(str, range(values.shape[1])))
    return Table(values.astype(np.float32), names, np.zeros((len(values), 0), np.int64), (), ())


def make_examples(raw: Images | Table, targets: NDArray[np.int64], classes: int) -> Examples:
    """Return examples with these targets, and without a test set of their own."""
    rows = len(targets)
    names = tuple(map(str, range(rows)))
    class_names = tuple("abcdefghijkl"[:classes])
    test = np.zeros(rows, dtype=bool)
    return Examples(raw, targets, "classes", names, np.arange(rows), test, class_names).with_fingerprint()


def make_task(examples: Examples, cv: CrossValidationConfig, metric: str = "accuracy") -> tuple[PredictionTask, Folds]:
    """Return the classification task with a softmax head, and its folds."""
    splits = make_folds(examples, cv, 0)
    inputs = preprocessing.build_inputs(examples, splits.development)
    head = heads.build_head(SoftmaxConfig("softmax"), examples)
    device = resolve_device(ComputeConfig("cpu", "fp32", 1, "auto"))
    return PredictionTask(inputs, head, METRICS[metric], torch.from_numpy(examples.targets.copy()), device), splits


def prepare_case(case: Case, rows: int = ROWS, folds: int = FOLDS) -> tuple[PredictionTask, list[FoldData]]:
    """Return the task of a case, and the data of each fold."""
    examples = make_blobs(case, rows)
    task, splits = make_task(examples, CrossValidationConfig(folds, 1, 0.01))
    return task, FoldDataBuilder(examples, task.inputs, task.head, task.device.torch_device).build_folds(splits)
