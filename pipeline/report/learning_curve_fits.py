"""The winner trained again on parts of the training rows, side by side; measured once, and kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.data.folds import Fold, Rows, part
from pipeline.runtime import seeds
from pipeline.runtime.files import make_folder, write_whole
from pipeline.study import space
from pipeline.study.problem import Question
from pipeline.study.trial_record import Row
from pipeline.training.engine import FoldData, Seeds
from pipeline.training.engine.batching_rule import Shape, groups
from pipeline.training.fit import race
from pipeline.training.fold_data import Preparation
from pipeline.training.trial_state import Trial

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

    An epoch takes as many steps as one of all rows does, and sees each row of a part several times. The test rows are
    not touched.
    """
    preparation = Preparation(question.examples, question.inputs, question.head, question.task.device.torch)
    preparation.check(question.splits, len(SHARES))
    drawn = [[_part(question, fold, share, seed, place) for place, fold in _folds(question)] for share in SHARES]
    parts = [(share, rows) for share, rows in zip(SHARES, drawn, strict=True) if min(map(len, rows)) >= FEWEST_ROWS]
    trials = [_trial(best, seed, share) for share, _ in parts]
    progress = _Progress(watch, sum(trial.training.epochs for trial in trials))
    entries = []
    for trial, (_, rows) in zip(trials, parts, strict=True):
        data = [_prepared(preparation, *each) for each in zip(_folds(question), rows, strict=True)]
        entries.append((replace(trial, judge=progress.judge), data))
    found = [(_mean_rows(rows), scores) for (_, rows), scores in zip(parts, _raced(question, entries), strict=True)]
    whole = _mean_rows([fold.train for _, fold in _folds(question)])
    measured = [*((rows, scores) for rows, scores in found if scores), (whole, tuple(best.folds))]
    return Curve(tuple(rows for rows, _ in measured), tuple(scores for _, scores in measured))


def _folds(question: Question) -> list[tuple[int, Fold]]:
    return list(enumerate(question.splits.folds))


def _part(question: Question, fold: Fold, share: float, seed: int, place: int) -> Rows:
    """A share of a fold's training rows, drawn by (seed, share, fold)."""
    return part(question.examples, fold.train, share, seeds.number(seed, "more data", str(share), place))


def _prepared(preparation: Preparation, numbered: tuple[int, Fold], rows: Rows) -> FoldData:
    """A fold that trains on some of its rows, again and again until they are as many as all, and judges by its own."""
    place, fold = numbered
    return preparation.fold_data(place, Fold(np.resize(rows, len(fold.train)), fold.validation))


def _mean_rows(rows: Sequence[Rows]) -> float:
    return float(np.mean(list(map(len, rows))))


def _trial(best: Row, seed: int, share: float) -> Trial:
    """The best trial from the same first weights, and with a fourth of the rows half the steps to its best epoch.

    Few rows are learned sooner, but not as much sooner as they are fewer: with as many passes over them as over all,
    few looked up to three points worse on animals and breeds than they are, and so more of them better.
    """
    candidate = space.restored(best.fields)
    training = replace(candidate.training, epochs=math.ceil(best.epoch * math.sqrt(share)))
    return Trial(candidate.model, training, Seeds(seed, seeds.number(seed, best.number)), lambda _: False)


def _raced(question: Question, entries: Sequence[Entry]) -> list[tuple[float, ...]]:
    """Each fold's scores of each entry at its best epoch; none where it diverged. In one stack, where that pays."""
    task, folds = question.task, len(question.splits.folds)
    shapes = [Shape.of(trial.model, trial.training) for trial, _ in entries]
    outcomes = [
        outcome
        for group in groups(shapes, folds, task.inputs.features, task.head.outputs, task.device.room)
        for outcome in race(task, [entries[place] for place in group])
    ]
    return [outcome.epochs[outcome.best - 1].folds if outcome.best else () for outcome in outcomes]


class _Progress:
    """Counts the epochs that are done, of all there may be; `judge` is told of each, and never stops a trial."""

    def __init__(self, watch: Watch, epochs: int) -> None:
        self.watch, self.epochs, self.done = watch, epochs, 0
        watch(0, epochs)

    def judge(self, means: Sequence[float]) -> bool:
        """An epoch of one part is over."""
        self.done += 1
        self.watch(self.done, self.epochs)
        return False
