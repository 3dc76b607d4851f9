"""The smallest network as good as the best: Pareto front, one-standard-error rule, and its resampling over folds."""

from collections.abc import Callable, Iterable

import numpy as np

from pipeline.report.trials_table import TrialTable
from pipeline.study.trial_record import TrialRecord

N_FOLD_RESAMPLES = 500


def count_parameters(trial: TrialRecord) -> int:
    """Return the number of trainable parameters of a trial's network."""
    return trial.n_parameters


def count_nodes(trial: TrialRecord) -> int:
    """Return the number of nodes in all hidden layers of a trial's network."""
    return sum(int(nodes) for nodes in str(trial.hyperparameters["model.nodes"]).split("-") if nodes)


def count_layers(trial: TrialRecord) -> int:
    """Return the number of hidden layers of a trial's network."""
    return int(trial.hyperparameters["model.layers"])


def find_pareto_front(table: TrialTable) -> list[TrialRecord]:
    """Return the complete trials that are better than every smaller one, from the smallest to the best."""
    return _find_improvements(table, sorted(table.complete_trials, key=lambda trial: _size_key(table, trial)))


def _find_improvements(table: TrialTable, trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that are better than all before them."""
    improving: list[TrialRecord] = []
    for trial in trials:
        if not improving or table.improvement(trial.value, improving[-1].value) > 0:
            improving.append(trial)
    return improving


def build_front_steps(table: TrialTable) -> tuple[list[float], list[TrialRecord]]:
    """Return the Pareto front as steps of a line over the number of parameters, see `build_steps`."""
    largest = max(map(count_parameters, table.complete_trials))
    return build_steps(table, find_pareto_front(table), count_parameters, largest)


def build_steps(
    table: TrialTable, trials: Iterable[TrialRecord], measure: Callable[[TrialRecord], int], last: int
) -> tuple[list[float], list[TrialRecord]]:
    """Return the best trials so far as steps of a line, level until the next improvement: x, and the trial at each x.

    measure: the x of a trial, by which they are in order; last: the x at which the line ends.
    """
    improving = _find_improvements(table, trials)
    ends = [measure(trial) for trial in improving[1:]] + [last]
    x = [float(end) for trial, step_end in zip(improving, ends, strict=True) for end in (measure(trial), step_end)]
    return x, [trial for trial in improving for _ in range(2)]


def select_by_one_se_rule(table: TrialTable) -> TrialRecord:
    """Return the smallest network whose mean score is within one standard error of the best one's.

    The one standard error rule of Breiman, Friedman, Olshen, Stone 1984, Classification and Regression Trees, 3.4.3.
    """
    error = table.best.standard_error
    trials = [trial for trial in table.complete_trials if table.improvement(trial.value, table.best.value) >= -error]
    return min(trials, key=lambda trial: _size_key(table, trial))


def _size_key(table: TrialTable, trial: TrialRecord) -> tuple[int, float, int]:
    return trial.n_parameters, -table.improvement(trial.value, 0), trial.number


def resample_one_se_trials(table: TrialTable, seed: int = 0) -> list[list[TrialRecord]]:
    """Return, for each resampling of the folds with replacement, the trials within one standard error of the best.

    All trials share the folds, so a resampling takes the same folds for all of them. It takes as many as one partition
    of the rows has: repeated cross-validation scores the same rows again, which makes no mean more certain.
    """
    trials = table.complete_trials
    count = table.best.folds_per_repeat
    scores = np.array([trial.fold_scores for trial in trials])
    if not table.metric.maximize:
        scores = -scores
    folds = scores.shape[1]
    generator = np.random.default_rng(seed)
    fold_counts = generator.multinomial(count, np.full(folds, 1 / folds), N_FOLD_RESAMPLES)  # [resamples, folds]
    means = fold_counts @ scores.T / count  # [resamples, trials]
    best_means = means.max(axis=1)[:, None]
    best_scores = scores[means.argmax(axis=1)]
    variance = (fold_counts * (best_scores - best_means) ** 2).sum(axis=1) / (count - 1)
    is_within_error = means >= best_means - np.sqrt(variance / count)[:, None]
    return [[trials[index] for index in np.flatnonzero(each)] for each in is_within_error]
