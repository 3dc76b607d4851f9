"""Predictions of the winner for the held-out test rows, beside the truth; no choice depends on them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.artifact.model_files import TrainedModel
from pipeline.data.examples import Images
from pipeline.models.heads import AnyHead, BandsHead, NumberHead, SigmoidsHead
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


@dataclass(frozen=True)
class HeldoutPredictions:
    """T test rows with their display names, targets, and the outputs of the winner.

    targets: as in `Examples.targets`; outputs: float32 [T, outputs of the head].
    images: those of the whole data set, of which `rows` int64 [T] are the test rows; None for a table.
    """

    head: AnyHead
    constants: Constants
    names: tuple[str, ...]
    rows: NDArray[np.int64]
    targets: Targets
    outputs: NDArray[np.float32]
    images: Images | None

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def class_predictions(self) -> ClassPredictions | None:
        """Return the predictions as classes or bands, or None for a head that does not choose one of several."""
        if isinstance(self.head, SigmoidsHead | NumberHead):
            return None
        actual = self.head.encode_targets(torch.from_numpy(np.array(self.targets)), self.constants).numpy()
        names = make_unique_labels(self.head.output_names)
        return ClassPredictions(names, self.outputs.astype(np.float64), actual.astype(np.int64))

    @cached_property
    def label_predictions(self) -> LabelPredictions | None:
        """Return the predictions as labels, or None for other heads."""
        if not isinstance(self.head, SigmoidsHead):
            return None
        names = make_unique_labels(self.head.output_names)
        return LabelPredictions(names, self.outputs.astype(np.float64), np.asarray(self.targets, dtype=bool))

    @cached_property
    def number_predictions(self) -> NumberPredictions | None:
        """Return the predictions as numbers, of bands the expected value; None for classes and labels."""
        if isinstance(self.head, BandsHead):
            predicted = self.head.to_expected_values(torch.from_numpy(self.outputs), self.constants).numpy()
        elif isinstance(self.head, NumberHead):
            predicted = self.outputs[:, 0]
        else:
            return None
        actual = np.asarray(self.targets, dtype=np.float64)
        return NumberPredictions(self.head.unit, predicted.astype(np.float64), actual)

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
    return HeldoutPredictions(
        head=problem.task.head,
        constants=trained.target_constants,
        names=tuple(examples.names[row] for row in rows),
        rows=rows,
        targets=examples.targets[rows],
        outputs=trained.predict(examples.inputs.take(rows)).numpy(),
        images=problem.images,
    )


def read_image_hwc(images: Images, row: int) -> NDArray[np.uint8]:
    """Return an image as uint8 [H, W, 3]."""
    return np.ascontiguousarray(images.pixels[row].transpose(1, 2, 0))


def shorten_file_name(name: str) -> str:
    """Return a file's name without its folders; of a very long one the end, in which names usually differ."""
    file = escape_unprintable(name.rstrip("/").rpartition("/")[2] or name)
    return file if len(file) <= MAX_FILE_NAME_CHARS else f"...{file[3 - MAX_FILE_NAME_CHARS :]}"


def make_unique_labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names for a figure, with a number behind those that are equal after shortening."""
    printable = list(map(shorten, names))
    shortened = [
        name if len(name) <= MAX_CLASS_NAME_CHARS else f"{name[: MAX_CLASS_NAME_CHARS - 3]}..." for name in printable
    ]
    counts = Counter(shortened)
    return tuple(f"{name} ({index})" if counts[name] > 1 else name for index, name in enumerate(shortened))
