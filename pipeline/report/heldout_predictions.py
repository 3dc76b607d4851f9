"""Predictions of the winner for the held-out test rows, beside the truth; no choice depends on them."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.artifact.model_files import TrainedModel
from pipeline.config.metrics import METRICS, PredictionKind
from pipeline.data.examples import Images
from pipeline.models.heads import AnyHead
from pipeline.models.heads.base import Targets
from pipeline.preprocessing import Constants
from pipeline.runtime.text import escape_unprintable, shorten
from pipeline.study.problem import Problem

MAX_FILE_NAME_CHARS = 32
MAX_CLASS_NAME_CHARS = 28


@dataclass(frozen=True)
class ClassPredictions:
    """Predictions of one class of several: probabilities float64 [T, classes], actual int64 [T]."""

    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]
    actual: NDArray[np.int64]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Return int64 [T]: the class with the highest probability."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """Return float64 [T]: the probability of the predicted class."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def is_correct(self) -> NDArray[np.bool_]:
        """Return bool [T]: whether the predicted class is the actual one."""
        return np.equal(self.predicted, self.actual)


@dataclass(frozen=True)
class LabelPredictions:
    """Predictions of any number of labels: probabilities float64 [T, labels], actual bool [T, labels]."""

    names: tuple[str, ...]
    probabilities: NDArray[np.float64]
    actual: NDArray[np.bool_]

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """Return bool [T, labels]: whether the probability is above one half."""
        return self.probabilities > 0.5


@dataclass(frozen=True)
class NumberPredictions:
    """Predictions of a number in the unit of the target: predicted, actual float64 [T]."""

    unit: str
    predicted: NDArray[np.float64]
    actual: NDArray[np.float64]

    @property
    def error(self) -> NDArray[np.float64]:
        """Return float64 [T]: predicted less actual."""
        return self.predicted - self.actual

    def format_value(self, value: float) -> str:
        """Return a number of the target, or an error of its prediction, with its unit."""
        return f"{METRICS['mean_absolute_error'].format(value)} {self.unit}".strip()


@dataclass(frozen=True)
class HeldoutPredictions:
    """T test rows with their display names, targets, and the predictions of the winner.

    targets: as in `Examples.targets`; predictions: float32 [T, columns], see `Head.to_predictions`.
    images: those of the whole data set, of which `rows` int64 [T] are the test rows; None for a table.
    """

    head: AnyHead
    constants: Constants
    names: tuple[str, ...]
    rows: NDArray[np.int64]
    targets: Targets
    predictions: NDArray[np.float32]
    images: Images | None

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def class_predictions(self) -> ClassPredictions:
        """Return the predictions of a head that predicts classes or bands."""
        probabilities, actual = self._convert("classes")
        return ClassPredictions(make_unique_labels(self.head.output_names), probabilities, actual.astype(np.int64))

    @cached_property
    def label_predictions(self) -> LabelPredictions:
        """Return the predictions of a head that predicts labels."""
        probabilities, actual = self._convert("labels")
        return LabelPredictions(make_unique_labels(self.head.output_names), probabilities, actual.astype(bool))

    @cached_property
    def number_predictions(self) -> NumberPredictions:
        """Return the predictions of a head that predicts numbers; of bands, the expected values."""
        predicted, actual = self._convert("numbers")
        return NumberPredictions(getattr(self.head, "unit", ""), predicted, actual)

    def _convert(self, kind: PredictionKind) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return predictions and targets of one of the head's kinds, see `Head.to_scorable`."""
        targets = torch.from_numpy(np.array(self.targets))
        scorable = self.head.to_scorable(kind, torch.from_numpy(self.predictions), targets, self.constants)
        predicted, actual = (values.double().numpy() for values in scorable)
        return predicted, actual

    def format_row_name(self, row: int) -> str:
        """Return the display name of a row: its file name, or "row" and its number in the table."""
        name = shorten_file_name(self.names[row])
        return name if self.images is not None else f"row {name}"

    def read_image(self, row: int) -> NDArray[np.uint8]:
        """Return uint8 [H, W, 3]; reads only this image."""
        assert self.images is not None
        return read_image_hwc(self.images, int(self.rows[row]))


def predict_heldout(problem: Problem, trained: TrainedModel) -> HeldoutPredictions:
    """Return the predictions of a model for the held-out test rows of its search."""
    examples = problem.examples
    rows = problem.splits.test
    names = tuple(examples.names[row] for row in rows)
    targets = examples.targets[rows]
    predictions = trained.predict(examples.inputs.take(rows)).numpy()
    constants = trained.target_constants
    return HeldoutPredictions(problem.task.head, constants, names, rows, targets, predictions, problem.images)


def read_image_hwc(images: Images, row: int) -> NDArray[np.uint8]:
    """Return an image as uint8 [H, W, 3]."""
    return np.ascontiguousarray(images.pixels[row].transpose(1, 2, 0))


def shorten_file_name(name: str) -> str:
    """Return a file's name without its folders; of a very long one the end, in which names usually differ."""
    file = escape_unprintable(name.rstrip("/").rpartition("/")[2] or name)
    return file if len(file) <= MAX_FILE_NAME_CHARS else f"...{file[3 - MAX_FILE_NAME_CHARS :]}"


def make_unique_labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names for a figure, with a number behind those that are equal after shortening."""
    limit = MAX_CLASS_NAME_CHARS
    shortened = [name if len(name) <= limit else f"{name[: limit - 3]}..." for name in map(shorten, names)]
    counts = Counter(shortened)
    return tuple(f"{name} ({index})" if counts[name] > 1 else name for index, name in enumerate(shortened))
