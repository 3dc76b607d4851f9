"""Learning curve of the winner: trained again on shares of each fold's training rows; measured once and cached."""

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from operator import itemgetter
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
from pipeline.training.trials import PruneCallback, TrialSpec

TRAIN_SHARES = (0.1, 0.25, 0.5)
MIN_ROWS = 10
LEARNING_CURVE_FILE = "more_data.json"
EpochCallback = Callable[[int, int], None]  # epochs done, epochs in all
TrialWithFolds = tuple[TrialSpec, list[FoldData]]


@dataclass(frozen=True)
class LearningCurve:
    """Scores of the winner by number of training rows, from the fewest to all.

    rows: the mean over the folds; scores: of each fold's validation rows, for each number of rows.
    """

    rows: tuple[float, ...]
    scores: tuple[tuple[float, ...], ...]


def load_or_measure(
    problem: Problem, seed: int, best: TrialRecord, folder: Path, on_progress: EpochCallback
) -> LearningCurve:
    """Return the learning curve of the best trial from a file in the folder; measure and write it if it is missing.

    seed: the search's. Raises UserError if the folds do not fit into the memory.
    """
    file = folder / LEARNING_CURVE_FILE
    key = {"study": problem.fingerprint, "trial": best.number}
    curve = _load_cached(file, key)
    if curve is None:
        curve = measure_learning_curve(problem, seed, best, on_progress)
        make_folder(folder)
        write_file(file, (json.dumps({**key, **asdict(curve)}, indent=2) + "\n").encode())
    return curve


def _load_cached(file: Path, key: dict[str, object]) -> LearningCurve | None:
    """Return the cached curve of this winner, or None if the file is missing, damaged or of another winner."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if {name: content[name] for name in key} != key:
            return None
        scores = tuple(tuple(map(float, each)) for each in content["scores"])
        return LearningCurve(tuple(map(float, content["rows"])), scores)
    except (OSError, ValueError, LookupError, TypeError):
        return None


def measure_learning_curve(problem: Problem, seed: int, best: TrialRecord, on_progress: EpochCallback) -> LearningCurve:
    """Return the scores of the best trial's network trained on shares of each fold; with all rows, those of the trial.

    An epoch has as many steps as one of all rows, so each row of a share is used several times. The test rows are not
    used. A share with fewer than MIN_ROWS rows in a fold, or whose training diverged, is left out.
    """
    folds = problem.splits.folds
    builder = problem.fold_data_builder()
    builder.check_memory(problem.splits, len(TRAIN_SHARES))
    epochs_done = itertools.count(1)

    def report_epoch(_mean_scores: Sequence[float]) -> bool:
        on_progress(next(epochs_done), total_epochs)
        return False  # prunes no trial

    row_counts = []
    entries = []
    for share in TRAIN_SHARES:
        samples = [_sample_rows(problem, fold, share, seed, index) for index, fold in enumerate(folds)]
        if min(map(len, samples)) >= MIN_ROWS:
            row_counts.append(_mean_row_count(samples))
            entries.append((_build_trial(best, seed, share, report_epoch), _build_folds(builder, folds, samples)))
    total_epochs = sum(trial.training.epochs for trial, _ in entries)
    on_progress(0, total_epochs)
    measured = list(zip(row_counts, _score_trials(problem, entries), strict=True))
    measured.append((_mean_row_count([fold.train for fold in folds]), tuple(best.fold_scores)))
    scored = [(rows, scores) for rows, scores in measured if scores]
    return LearningCurve(tuple(rows for rows, _ in scored), tuple(scores for _, scores in scored))


def _sample_rows(problem: Problem, fold: Fold, share: float, seed: int, index: int) -> Indices:
    """Return a random share of a fold's training rows that depends on the seed, the share and the fold."""
    sample_seed = seeds.derive_seed(seed, "more data", str(share), index)
    return stratified_subset(problem.examples, fold.train, share, sample_seed)


def _build_folds(builder: FoldDataBuilder, folds: Sequence[Fold], samples: Sequence[Indices]) -> list[FoldData]:
    """Return folds that train on the sampled rows, repeated up to the fold's size, and validate on all theirs."""
    return [
        builder.build_fold(index, Fold(np.resize(rows, len(fold.train)), fold.validation))
        for index, (fold, rows) in enumerate(zip(folds, samples, strict=True))
    ]


def _mean_row_count(rows: Sequence[Indices]) -> float:
    return float(np.mean(list(map(len, rows))))


def _build_trial(best: TrialRecord, seed: int, share: float, prune_callback: PruneCallback) -> TrialSpec:
    """Return the best trial with the same initial weights, and sqrt(share) of the steps to its best epoch.

    Fewer rows need fewer steps, but not in proportion: with as many passes over them as over all rows, their scores
    were up to three points too low on animals and breeds, and the predicted gain from more data too high. A schedule of
    the learning rate extends over these steps.
    """
    candidate = space.from_hyperparameters(best.hyperparameters)
    training = replace(candidate.training, epochs=math.ceil(best.epoch * math.sqrt(share)))
    stream_seeds = StreamSeeds(seed, seeds.derive_seed(seed, best.number))
    return TrialSpec(candidate.model, training, stream_seeds, prune_callback)


def _score_trials(problem: Problem, entries: Sequence[TrialWithFolds]) -> list[tuple[float, ...]]:
    """Return each trial's fold scores at its best epoch, or () if it diverged; stacked if that is faster."""
    task = problem.task
    keys = [StackKey.from_trial(trial.model, trial.training) for trial, _ in entries]
    folds = len(problem.splits.folds)
    limits = task.device.stack_limits
    groups = group_by_stack_key(keys, folds, task.inputs.feature_count, task.head.output_count, limits)
    indices = [index for group in groups for index in group]
    results = [result for group in groups for result in fit_trials(task, [entries[index] for index in group])]
    in_order = [result for _, result in sorted(zip(indices, results, strict=True), key=itemgetter(0))]
    return [result.epoch_results[result.best_epoch - 1].fold_scores if result.best_epoch else () for result in in_order]
