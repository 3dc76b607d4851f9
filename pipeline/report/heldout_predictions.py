"""What the winner answers for the held-out test rows, beside the truth; nothing is chosen by it, so it opens no row."""

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

MAX_FILE_NAME_CHARS, MAX_CLASS_NAME_CHARS = 32, 28  # letters


@dataclass(frozen=True)
class ClassPredictions:
    """Answers that name one class of several.

    chances: float64 [T, classes]; truth: int64 [T].
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]
    actual: NDArray[np.int64]

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """int64 [T]: the likeliest class."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """float64 [T]: how likely it is said to be."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def is_correct(self) -> NDArray[np.bool_]:
        """bool [T]."""
        return np.equal(self.predicted, self.actual)


@dataclass(frozen=True)
class LabelPredictions:
    """Answers that name any of several labels: chances float64 [T, labels], and where each label truly is."""

    names: tuple[str, ...]
    probabilities: NDArray[np.float64]
    actual: NDArray[np.bool_]

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """bool [T, labels]."""
        return self.probabilities > 0.5


@dataclass(frozen=True)
class NumberPredictions:
    """Answers that are numbers, in the target's own unit: said and truth, float64 [T]."""

    unit: str
    predicted: NDArray[np.float64]
    actual: NDArray[np.float64]

    @property
    def error(self) -> NDArray[np.float64]:
        """float64 [T]: above 0 where too much was said."""
        return self.predicted - self.actual


@dataclass(frozen=True)
class HeldoutPredictions:
    """T rows with a name for people, the truth, and the winner's answer.

    targets: as in `Examples.targets`; answers: float32 [T, columns of the head].
    pictures: those of the whole data set, of which these are in the given `rows`; none of a table.
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
        """The answers as classes, or bands; none where the head gives no one of several."""
        if isinstance(self.head, SigmoidsHead | NumberHead):
            return None
        actual = self.head.encode_targets(torch.from_numpy(np.array(self.targets)), self.constants).numpy()
        return ClassPredictions(
            make_unique_labels(self.head.output_names), self.outputs.astype(np.float64), actual.astype(np.int64)
        )

    @cached_property
    def label_predictions(self) -> LabelPredictions | None:
        """The answers as labels; none of other heads."""
        if not isinstance(self.head, SigmoidsHead):
            return None
        actual = np.asarray(self.targets, dtype=bool)
        return LabelPredictions(make_unique_labels(self.head.output_names), self.outputs.astype(np.float64), actual)

    @cached_property
    def number_predictions(self) -> NumberPredictions | None:
        """The answers as numbers; none of classes and labels. Those of bands are weighted means of their centres."""
        if isinstance(self.head, BandsHead):
            predicted = self.head.to_expected_values(torch.from_numpy(self.outputs), self.constants).numpy()
        elif isinstance(self.head, NumberHead):
            predicted = self.outputs[:, 0]
        else:
            return None
        return NumberPredictions(
            self.head.unit, predicted.astype(np.float64), np.asarray(self.targets, dtype=np.float64)
        )

    def format_row_name(self, row: int) -> str:
        """What a row is called under a picture or beside a bar: its file, or its number in the table."""
        return (
            shorten_file_name(self.names[row])
            if self.images is not None
            else f"row {shorten_file_name(self.names[row])}"
        )

    def read_image(self, row: int) -> NDArray[np.uint8]:
        """uint8 [H, W, 3]; only this one is read."""
        assert self.images is not None
        return read_image_hwc(self.images, int(self.rows[row]))


def predict_heldout(problem: Problem, trained: TrainedModel) -> HeldoutPredictions:
    """What a model answers for the held-out test rows of its search."""
    examples, rows = problem.examples, problem.splits.test
    return HeldoutPredictions(
        head=problem.head,
        constants=trained.target_constants,
        names=tuple(examples.names[row] for row in rows),
        rows=rows,
        targets=examples.targets[rows],
        outputs=trained.predict(examples.inputs.take(rows)).numpy(),
        images=problem.images,
    )


def read_image_hwc(images: Images, row: int) -> NDArray[np.uint8]:
    """uint8 [H, W, 3]: a picture as it is drawn."""
    return np.ascontiguousarray(images.pixels[row].transpose(1, 2, 0))


def shorten_file_name(name: str) -> str:
    """A file's name without its folders; of a very long one the end, which tells it from others."""
    file = escape_unprintable(name.rstrip("/").rpartition("/")[2] or name)
    return file if len(file) <= MAX_FILE_NAME_CHARS else f"...{file[3 - MAX_FILE_NAME_CHARS :]}"


def make_unique_labels(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names as a figure shows them, each once: long ones are cut, and then some may be alike."""
    shortened = [
        name if len(name) <= MAX_CLASS_NAME_CHARS else f"{name[: MAX_CLASS_NAME_CHARS - 3]}..."
        for name in map(shorten, names)
    ]
    counts = Counter(shortened)
    return tuple(f"{name} ({place})" if counts[name] > 1 else name for place, name in enumerate(shortened))
