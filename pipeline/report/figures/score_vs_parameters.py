"""How large a network the question needs: score against number of parameters, and the smallest that is as good."""

from __future__ import annotations

import numpy as np

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.trials_table import TrialTable, describe_trial
from pipeline.study.trial_record import TrialRecord

N_FOLD_RESAMPLES = 500


def plot_score_vs_parameters(table: TrialTable) -> Figure:
    """Each complete trial by its size, the best up to each size, and the two that matter."""
    trials, smallest = table.complete_trials, select_by_one_se_rule(table)
    x, best = build_front_steps(table)
    series = [
        Series(
            "complete trials",
            "points",
            [row.n_parameters for row in trials],
            [table.clip_score(row.value) for row in trials],
            [table.clip_score(row.value - row.standard_error) for row in trials],
            [table.clip_score(row.value + row.standard_error) for row in trials],
            [table.format_hover_text(row) for row in trials],
            is_muted=True,
        ),
        Series("best up to this size", "line", x, [table.clip_score(row.value) for row in best]),
        *_plot_highlights(table, smallest),
    ]
    chart = Chart("parameters", table.score_axis_title, tuple(series), log_x=True)
    return Figure("size", "How large a network is needed", _format_caption(table, smallest), chart)


def _plot_highlights(table: TrialTable, smallest: TrialRecord) -> list[Series]:
    """Around the winner and the smallest that is as good; around one trial that is both, one."""
    if smallest is table.best:
        return [_highlight_trial("winner, and the smallest that is as good", table, smallest)]
    return [
        _highlight_trial("winner", table, table.best),
        _highlight_trial("smallest that is as good", table, smallest),
    ]


def _highlight_trial(name: str, table: TrialTable, trial: TrialRecord) -> Series:
    return Series(
        name,
        "points",
        [trial.n_parameters],
        [trial.value],
        point_labels=[table.format_hover_text(trial)],
        is_highlighted=True,
    )


def find_pareto_front(table: TrialTable) -> list[TrialRecord]:
    """The complete trials that are better than every smaller one, from the smallest to the best."""
    front: list[TrialRecord] = []
    for row in sorted(
        table.complete_trials, key=lambda row: (row.n_parameters, -table.improvement(row.value, 0), row.number)
    ):
        if not front or table.improvement(row.value, front[-1].value) > 0:
            front.append(row)
    return front


def select_by_one_se_rule(table: TrialTable) -> TrialRecord:
    """The smallest network whose mean is within one standard error of the best one's.

    The one standard error rule of Breiman, Friedman, Olshen, Stone 1984, Classification and Regression Trees, 3.4.3.
    """
    candidates = [
        row
        for row in table.complete_trials
        if table.improvement(row.value, table.best.value) >= -table.best.standard_error
    ]
    return min(candidates, key=lambda row: (row.n_parameters, -table.improvement(row.value, 0), row.number))


def resample_one_se_trials(table: TrialTable, seed: int = 0) -> list[list[TrialRecord]]:
    """The networks as good as the best again and again, for folds drawn with replacement: how firmly each stands.

    All trials share the folds, so that a resampling draws the same ones for all of them: as many as one drawing of the
    rows has, since repeats judge by the same rows again.
    """
    trials, count = table.complete_trials, table.best.folds_per_repeat
    scores = np.array([trial.fold_scores for trial in trials])
    if not table.maximize:
        scores = -scores
    folds = scores.shape[1]
    fold_counts = np.random.default_rng(seed).multinomial(
        count, np.full(folds, 1 / folds), N_FOLD_RESAMPLES
    )  # [resamples, folds]
    means = fold_counts @ scores.T / count  # [resamples, trials]
    best = means.argmax(axis=1)
    variance = (fold_counts * (scores[best] - means.max(axis=1)[:, None]) ** 2).sum(axis=1) / (count - 1)
    is_within_error = means >= means.max(axis=1)[:, None] - np.sqrt(variance / count)[:, None]
    return [[trials[place] for place in np.flatnonzero(each)] for each in is_within_error]


def build_front_steps(table: TrialTable) -> tuple[list[float], list[TrialRecord]]:
    """The best up to each size, as places of a line and the trial at each: level until the next that is better."""
    trials = find_pareto_front(table)
    ends = [row.n_parameters for row in trials[1:]] + [max(row.n_parameters for row in table.complete_trials)]
    x = [float(place) for row, end in zip(trials, ends, strict=True) for place in (row.n_parameters, end)]
    return x, [row for row in trials for _ in range(2)]


def _format_caption(table: TrialTable, smallest: TrialRecord) -> str:
    best, complete = table.best, table.complete_trials
    winner_sentence = f"The winner, {describe_trial(best)}, has {best.n_parameters:,} parameters and {table.format_trial_score(best)}."
    if len({row.n_parameters for row in complete}) == 1:
        return f"{winner_sentence} Every complete trial has that size, so that nothing can be said about others."
    if smallest is best:
        return f"{winner_sentence} No smaller network that was tried is within one standard error of it."
    smallest_sentence = f"The smallest network within one standard error of it is {describe_trial(smallest)}, with {table.format_trial_score(smallest)}"
    size_sentence = f"{smallest_sentence} and {smallest.n_parameters:,} parameters: {_format_ratio(best.n_parameters / smallest.n_parameters)}."
    if smallest.n_parameters == min(row.n_parameters for row in complete):
        return f"{winner_sentence} {size_sentence} None that was tried is smaller: a space with smaller networks may do as well."
    return f"{winner_sentence} {size_sentence}"


def _format_ratio(ratio: float) -> str:
    if ratio < 1.05:
        return "about as many"
    return f"{ratio:.2g} times fewer" if ratio < 100 else f"{ratio:,.0f} times fewer"


def count_nodes(trial: TrialRecord) -> int:
    """How many nodes a trial's hidden layers have together."""
    return sum(int(nodes) for nodes in str(trial.hyperparameters["model.nodes"]).split("-") if nodes)


def count_layers(trial: TrialRecord) -> int:
    """How many hidden layers a trial's network has."""
    return int(trial.hyperparameters["model.layers"])
