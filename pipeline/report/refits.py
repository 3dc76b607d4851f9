"""The winner trained again on parts of the training rows, side by side; measured once, and kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from pipeline import seeds, space
from pipeline.course import Judge, Trial
from pipeline.engine import FoldData, Seeds
from pipeline.engine.company import Shape, groups
from pipeline.files import make_folder, write_whole
from pipeline.folds import Fold, part
from pipeline.preparation import Preparation
from pipeline.question import Question
from pipeline.record.rows import Row
from pipeline.training import race

SHARES = (0.1, 0.25, 0.5)
FEWEST_ROWS = 10
FILE = "more_data.json"
Watch = Callable[[int, int], None]
Entry = tuple[Trial, list[FoldData]]


@dataclass(frozen=True)
class Curve:
    """What the winner came to with how many training rows, from few to all.

    rows: the mean over the folds; scores: for each of them each fold's score on its validation rows.
    """

    rows: tuple[float, ...]
    scores: tuple[tuple[float, ...], ...]


def curve(question: Question, seed: int, best: Row, folder: Path, watch: Watch) -> Curve:
    """The learning curve of the best trial, measured where the folder does not have it yet.

    seed: the search's; watch: told how much of how much is done. Raises DataError where the memory does not hold it.
    """
    key = {"study": question.fingerprint, "trial": best.number}
    found = _kept(folder / FILE, key)
    if found is None:
        found = measure(question, seed, best, watch)
        make_folder(folder)
        write_whole(folder / FILE, (json.dumps({**key, **asdict(found)}, indent=2) + "\n").encode())
    return found


def _kept(file: Path, key: dict[str, object]) -> Curve | None:
    """What an earlier call measured of this winner, if it did."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if {name: found[name] for name in key} != key:
            return None
        return Curve(tuple(map(float, found["rows"])), tuple(tuple(map(float, each)) for each in found["scores"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def measure(question: Question, seed: int, best: Row, watch: Watch) -> Curve:
    """Trains the best trial's networks on parts of each fold's training rows; with all of them it is the trial itself.

    Each part takes as many steps as all rows took to their best epoch: with fewer, few rows would look worse than they
    are, and more of them better. The test rows are not touched.
    """
    preparation = Preparation(question.examples, question.inputs, question.head, question.task.device.torch)
    preparation.check(question.splits, len(SHARES))
    progress, entries = _Progress(watch), list[Entry]()
    for share in SHARES:
        data = _parts(question, preparation, share, seed)
        if min(len(each.train) for each in data) >= FEWEST_ROWS:
            entries.append((_trial(best, seed, share, progress.judge(_rows(data))), data))
    progress.expect([trial.training.epochs for trial, _ in entries])
    found = [(_rows(data), scores) for (_, data), scores in zip(entries, _raced(question, entries), strict=True)]
    whole = float(np.mean([len(fold.train) for fold in question.splits.folds]))
    measured = [*((rows, scores) for rows, scores in found if scores), (whole, tuple(best.folds))]
    return Curve(tuple(rows for rows, _ in measured), tuple(scores for _, scores in measured))


def _parts(question: Question, preparation: Preparation, share: float, seed: int) -> list[FoldData]:
    """Each fold with a share of its training rows, drawn by (seed, share, fold), and all of its validation rows."""
    data = []
    for place, fold in enumerate(question.splits.folds):
        state = seeds.number(seed, "more data", str(share), place)
        rows = part(question.examples, fold.train, share, state)
        data.append(preparation.fold_data(place, Fold(rows, fold.validation)))
    return data


def _rows(data: Sequence[FoldData]) -> float:
    return float(np.mean([len(each.train) for each in data]))


def _trial(best: Row, seed: int, share: float, judge: Judge) -> Trial:
    """The best trial with as many steps as it took with all rows, and the same first weights."""
    candidate = space.restored(best.fields)
    training, patience = candidate.training, candidate.training.patience
    longer = replace(
        training,
        epochs=math.ceil(best.epoch / share),
        patience=None if patience is None else math.ceil(patience / share),
    )
    return Trial(candidate.model, longer, Seeds(seed, seeds.number(seed, best.number)), judge)


def _raced(question: Question, entries: Sequence[Entry]) -> list[tuple[float, ...]]:
    """Each fold's scores of each entry at its best epoch; none where it diverged. In one stack, where that pays."""
    task, folds = question.task, len(question.splits.folds)
    shapes = [Shape.of(trial.model, trial.training) for trial, _ in entries]
    outcomes = [
        outcome
        for group in groups(shapes, folds, task.inputs.features, task.head.outputs, on_gpu=task.device.on_gpu)
        for outcome in race(task, [entries[place] for place in group])
    ]
    return [outcome.epochs[outcome.best - 1].folds if outcome.best else () for outcome in outcomes]


class _Progress:
    """Counts the rows that have been trained on, of all that are to be."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.rows: list[float] = []
        self.done: list[int] = []
        self.total = 0

    def judge(self, rows: float) -> Judge:
        """One that never stops a trial on so many rows, and counts its epochs."""
        place = len(self.rows)
        self.rows.append(rows)
        self.done.append(0)

        def never(means: Sequence[float]) -> bool:
            self.done[place] = len(means)
            self.watch(self._sum(self.done), self.total)
            return False

        return never

    def expect(self, epochs: Sequence[int]) -> None:
        """So many epochs of each."""
        self.total = self._sum(epochs)
        self.watch(0, self.total)

    def _sum(self, epochs: Sequence[int]) -> int:
        return round(sum(rows * count for rows, count in zip(self.rows, epochs, strict=True)))
