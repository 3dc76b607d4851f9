"""What is trained: five shapes of networks on 2,000 rows in 5 folds, the same on every side."""

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
from pipeline.training.trial_state import PredictionTask

ROWS, CLASSES, FOLDS = 2_000, 12, 5
NAMES = StreamSeeds(0, 1)


@dataclass(frozen=True)
class Case:
    """A network's hidden layers on so many features; 12,288 features are pictures of 64 x 64 pixels."""

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


def clouds(case: Case, rows: int = ROWS) -> Examples:
    """Classes that can be learned: clouds of points."""
    chance = np.random.default_rng(0)
    targets = np.arange(rows) % CLASSES
    centres = chance.normal(0, 1, (CLASSES, case.features))
    values = chance.normal(0, np.sqrt(case.features) / 2, (rows, case.features)) + centres[targets]
    if case.features == 12_288:
        scaled = 128 + 40 * values / values.std()
        pictures = Images(scaled.clip(0, 255).astype(np.uint8).reshape(rows, 3, 64, 64))
        return labelled(pictures, targets, CLASSES)
    return labelled(columns(values), targets, CLASSES)


def columns(values: NDArray[np.floating]) -> Table:
    """A table of numbers alone."""
    names = tuple(map(str, range(values.shape[1])))
    return Table(values.astype(np.float32), names, np.zeros((len(values), 0), np.int64), (), ())


def labelled(raw: Images | Table, targets: NDArray[np.int64], classes: int) -> Examples:
    """Examples of so many classes, with no test part of their own."""
    rows = len(targets)
    names, known = tuple(map(str, range(rows))), tuple("abcdefghijkl"[:classes])
    test = np.zeros(rows, dtype=bool)
    return Examples(raw, targets, "classes", names, np.arange(rows), test, known).with_fingerprint()


def asked(examples: Examples, cv: CrossValidationConfig, metric: str = "accuracy") -> tuple[PredictionTask, Folds]:
    """The classes of the examples, asked of one softmax."""
    splits = make_folds(examples, cv, 0)
    layout, head = (
        preprocessing.build_inputs(examples, splits.development),
        heads.build_head(SoftmaxConfig("softmax"), examples),
    )
    device = resolve_device(ComputeConfig("cpu", "fp32", 1, "auto"))
    return PredictionTask(layout, head, METRICS[metric], torch.from_numpy(examples.targets.copy()), device), splits


def prepared(case: Case, rows: int = ROWS, folds: int = FOLDS) -> tuple[PredictionTask, list[FoldData]]:
    """The task and the data of its folds."""
    examples = clouds(case, rows)
    task, splits = asked(examples, CrossValidationConfig(folds, 1, 0.01))
    return task, FoldDataBuilder(examples, task.inputs, task.head, task.device.torch_device).build_folds(splits)
