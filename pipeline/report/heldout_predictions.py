"""What the winner answers for the held-out test rows, beside the truth; nothing is chosen by it, so it opens no row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.artifact.model_files import TrainedModel
from pipeline.data.examples import Pictures
from pipeline.models.heads import AnyHead, BandsHead, NumberHead, SigmoidsHead
from pipeline.models.heads.base import Targets
from pipeline.preprocessing import Constants
from pipeline.runtime.text import printable, shown
from pipeline.study.problem import Question

LONGEST_FILE, LONGEST_CLASS = 32, 28  # letters


@dataclass(frozen=True)
class Choices:
    """Answers that name one class of several.

    chances: float64 [T, classes]; truth: int64 [T].
    """

    classes: tuple[str, ...]
    chances: NDArray[np.float64]
    truth: NDArray[np.int64]

    @cached_property
    def said(self) -> NDArray[np.int64]:
        """int64 [T]: the likeliest class."""
        return np.asarray(self.chances.argmax(axis=1))

    @cached_property
    def sure(self) -> NDArray[np.float64]:
        """float64 [T]: how likely it is said to be."""
        return np.asarray(self.chances.max(axis=1))

    @property
    def right(self) -> NDArray[np.bool_]:
        """bool [T]."""
        return np.equal(self.said, self.truth)


@dataclass(frozen=True)
class Labels:
    """Answers that name any of several labels: chances float64 [T, labels], and where each label truly is."""

    names: tuple[str, ...]
    chances: NDArray[np.float64]
    truth: NDArray[np.bool_]

    @property
    def said(self) -> NDArray[np.bool_]:
        """bool [T, labels]."""
        return self.chances > 0.5


@dataclass(frozen=True)
class Amounts:
    """Answers that are numbers, in the target's own unit: said and truth, float64 [T]."""

    unit: str
    said: NDArray[np.float64]
    truth: NDArray[np.float64]

    @property
    def error(self) -> NDArray[np.float64]:
        """float64 [T]: above 0 where too much was said."""
        return self.said - self.truth


@dataclass(frozen=True)
class Evidence:
    """T rows with a name for people, the truth, and the winner's answer.

    targets: as in `Examples.targets`; answers: float32 [T, columns of the head].
    pictures: those of the whole data set, of which these are in the given `rows`; none of a table.
    """

    head: AnyHead
    constants: Constants
    names: tuple[str, ...]
    rows: NDArray[np.int64]
    targets: Targets
    answers: NDArray[np.float32]
    pictures: Pictures | None

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def choices(self) -> Choices | None:
        """The answers as classes, or bands; none where the head gives no one of several."""
        if isinstance(self.head, SigmoidsHead | NumberHead):
            return None
        truth = self.head.encode(torch.from_numpy(np.array(self.targets)), self.constants).numpy()
        return Choices(distinct(self.head.columns), self.answers.astype(np.float64), truth.astype(np.int64))

    @cached_property
    def labels(self) -> Labels | None:
        """The answers as labels; none of other heads."""
        if not isinstance(self.head, SigmoidsHead):
            return None
        truth = np.asarray(self.targets, dtype=bool)
        return Labels(distinct(self.head.columns), self.answers.astype(np.float64), truth)

    @cached_property
    def amounts(self) -> Amounts | None:
        """The answers as numbers; none of classes and labels. Those of bands are weighted means of their centres."""
        if isinstance(self.head, BandsHead):
            said = self.head.as_numbers(torch.from_numpy(self.answers), self.constants).numpy()
        elif isinstance(self.head, NumberHead):
            said = self.answers[:, 0]
        else:
            return None
        return Amounts(self.head.unit, said.astype(np.float64), np.asarray(self.targets, dtype=np.float64))

    def named(self, row: int) -> str:
        """What a row is called under a picture or beside a bar: its file, or its number in the table."""
        return short(self.names[row]) if self.pictures is not None else f"row {short(self.names[row])}"

    def picture(self, row: int) -> NDArray[np.uint8]:
        """uint8 [H, W, 3]; only this one is read."""
        assert self.pictures is not None
        return upright(self.pictures, int(self.rows[row]))


def gather(question: Question, trained: TrainedModel) -> Evidence:
    """What a model answers for the held-out test rows of its search."""
    examples, rows = question.examples, question.splits.test
    return Evidence(
        head=question.head,
        constants=trained.target_constants,
        names=tuple(examples.names[row] for row in rows),
        rows=rows,
        targets=examples.targets[rows],
        answers=trained.answers(examples.inputs.take(rows)).numpy(),
        pictures=question.pictures,
    )


def upright(pictures: Pictures, row: int) -> NDArray[np.uint8]:
    """uint8 [H, W, 3]: a picture as it is drawn."""
    return np.ascontiguousarray(pictures.pixels[row].transpose(1, 2, 0))


def short(name: str) -> str:
    """A file's name without its folders; of a very long one the end, which tells it from others."""
    file = printable(name.rstrip("/").rpartition("/")[2] or name)
    return file if len(file) <= LONGEST_FILE else f"...{file[3 - LONGEST_FILE :]}"


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names as a figure shows them, each once: long ones are cut, and then some may be alike."""
    cut = [name if len(name) <= LONGEST_CLASS else f"{name[: LONGEST_CLASS - 3]}..." for name in map(shown, names)]
    counts = Counter(cut)
    return tuple(f"{name} ({place})" if counts[name] > 1 else name for place, name in enumerate(cut))
