"""The winner trained again on parts of the training rows, side by side; measured once, and kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.data.folds import Fold, Indices, stratified_subset
from pipeline.runtime import seeds
from pipeline.runtime.files import make_folder, write_file
from pipeline.study import space
from pipeline.study.problem import Problem
from pipeline.study.trial_record import TrialRecord
from pipeline.training.engine import FoldData, StreamSeeds
from pipeline.training.engine.batching_rule import StackKey, group_by_stack_key
from pipeline.training.fit import fit_trials
from pipeline.training.fold_data import FoldDataBuilder
from pipeline.training.trial_state import TrialSpec

TRAIN_SHARES = (0.1, 0.25, 0.5)
MIN_ROWS = 10
LEARNING_CURVE_FILE = "more_data.json"
ProgressCallback = Callable[[int, int], None]
TrialWithFolds = tuple[TrialSpec, list[FoldData]]


@dataclass(frozen=True)
class LearningCurve:
    """What the winner came to with how many training rows, from few to all.

    rows: the mean over the folds; scores: for each of them each fold's score on its validation rows.
    """

    rows: tuple[float, ...]
    scores: tuple[tuple[float, ...], ...]


def load_or_measure(
    problem: Problem, seed: int, best: TrialRecord, folder: Path, on_progress: ProgressCallback
) -> LearningCurve:
    """The learning curve of the best trial, measured where the folder does not have it yet.

    seed: the search's; watch: told how much of how much is done. Raises DataError where the memory does not hold it.
    """
    key = {"study": problem.fingerprint, "trial": best.number}
    learning_curve = _load_cached(folder / LEARNING_CURVE_FILE, key)
    if learning_curve is None:
        learning_curve = measure_learning_curve(problem, seed, best, on_progress)
        make_folder(folder)
        write_file(
            folder / LEARNING_CURVE_FILE, (json.dumps({**key, **asdict(learning_curve)}, indent=2) + "\n").encode()
        )
    return learning_curve


def _load_cached(file: Path, key: dict[str, object]) -> LearningCurve | None:
    """What an earlier call measured of this winner, if it did."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if {name: content[name] for name in key} != key:
            return None
        return LearningCurve(
            tuple(map(float, content["rows"])), tuple(tuple(map(float, each)) for each in content["scores"])
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None


def measure_learning_curve(
    problem: Problem, seed: int, best: TrialRecord, on_progress: ProgressCallback
) -> LearningCurve:
    """Trains the best trial's networks on parts of each fold's training rows; with all of them it is the trial itself.

    An epoch takes as many steps as one of all rows does, and sees each row of a part several times. The test rows are
    not touched.
    """
    builder = FoldDataBuilder(problem.examples, problem.inputs, problem.head, problem.task.device.torch_device)
    builder.check_memory(problem.splits, len(TRAIN_SHARES))
    sampled_rows = [
        [_sample_rows(problem, fold, share, seed, place) for place, fold in _number_folds(problem)]
        for share in TRAIN_SHARES
    ]
    parts = [
        (share, rows) for share, rows in zip(TRAIN_SHARES, sampled_rows, strict=True) if min(map(len, rows)) >= MIN_ROWS
    ]
    trials = [_build_trial(best, seed, share) for share, _ in parts]
    progress = _EpochProgress(on_progress, sum(trial.training.epochs for trial in trials))
    entries = []
    for trial, (_, rows) in zip(trials, parts, strict=True):
        data = [_prepare_fold(builder, *each) for each in zip(_number_folds(problem), rows, strict=True)]
        entries.append((replace(trial, prune_callback=progress.count_epoch), data))
    results = [
        (_mean_row_count(rows), scores)
        for (_, rows), scores in zip(parts, _score_trials(problem, entries), strict=True)
    ]
    full_row_count = _mean_row_count([fold.train for _, fold in _number_folds(problem)])
    measured = [*((rows, scores) for rows, scores in results if scores), (full_row_count, tuple(best.fold_scores))]
    return LearningCurve(tuple(rows for rows, _ in measured), tuple(scores for _, scores in measured))


def _number_folds(problem: Problem) -> list[tuple[int, Fold]]:
    return list(enumerate(problem.splits.folds))


def _sample_rows(problem: Problem, fold: Fold, share: float, seed: int, index: int) -> Indices:
    """A share of a fold's training rows, drawn by (seed, share, fold)."""
    return stratified_subset(
        problem.examples, fold.train, share, seeds.derive_seed(seed, "more data", str(share), index)
    )


def _prepare_fold(builder: FoldDataBuilder, numbered_fold: tuple[int, Fold], rows: Indices) -> FoldData:
    """A fold that trains on some of its rows, again and again until they are as many as all, and judges by its own."""
    place, fold = numbered_fold
    return builder.build_fold(place, Fold(np.resize(rows, len(fold.train)), fold.validation))


def _mean_row_count(rows: Sequence[Indices]) -> float:
    return float(np.mean(list(map(len, rows))))


def _build_trial(best: TrialRecord, seed: int, share: float) -> TrialSpec:
    """The best trial from the same first weights, and with a fourth of the rows half the steps to its best epoch.

    Few rows are learned sooner, but not as much sooner as they are fewer: with as many passes over them as over all,
    few looked up to three points worse on animals and breeds than they are, and so more of them better.
    """
    candidate = space.from_hyperparameters(best.hyperparameters)
    training = replace(candidate.training, epochs=math.ceil(best.epoch * math.sqrt(share)))
    return TrialSpec(
        candidate.model, training, StreamSeeds(seed, seeds.derive_seed(seed, best.number)), lambda _: False
    )


def _score_trials(problem: Problem, entries: Sequence[TrialWithFolds]) -> list[tuple[float, ...]]:
    """Each fold's scores of each entry at its best epoch; none where it diverged. In one stack, where that pays."""
    task, folds = problem.task, len(problem.splits.folds)
    shapes = [StackKey.from_trial(trial.model, trial.training) for trial, _ in entries]
    results = [
        outcome
        for group in group_by_stack_key(
            shapes, folds, task.inputs.feature_count, task.head.output_count, task.device.stack_limits
        )
        for outcome in fit_trials(task, [entries[place] for place in group])
    ]
    return [
        outcome.epoch_results[outcome.best_epoch - 1].fold_scores if outcome.best_epoch else () for outcome in results
    ]


class _EpochProgress:
    """Counts the epochs that are done, of all there may be; `judge` is told of each, and never stops a trial."""

    def __init__(self, on_progress: ProgressCallback, total_epochs: int) -> None:
        self.on_progress, self.total_epochs, self.epochs_done = on_progress, total_epochs, 0
        on_progress(0, total_epochs)

    def count_epoch(self, means: Sequence[float]) -> bool:
        """An epoch of one part is over."""
        self.epochs_done += 1
        self.on_progress(self.epochs_done, self.total_epochs)
        return False
