"""Learning curves: the winner on each fold, epoch by epoch, and those that were pruned behind it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.trials_table import TrialTable, describe_trial, pluralize
from pipeline.study.trial_record import TrialRecord

MAX_PRUNED_CURVES = 100


def plot_training_curves(table: TrialTable) -> Figure:
    """The winner's mean and its score on each fold; behind them, quiet, the means of pruned trials."""
    best, pruned = table.best, [row for row in table.trials if row.state == "pruned" and row.epoch_results]
    means = [epoch.mean_score for epoch in best.epoch_results]
    limit = table.compute_plot_limit(
        [score for epoch in best.epoch_results for score in epoch.fold_scores]
    )  # the first epochs' may be far
    series = [
        Series(
            "pruned trials",
            "line",
            *_join_curves(table, [_get_mean_curve(row) for row in pruned[-MAX_PRUNED_CURVES:]], limit),
            is_muted=True,
        ),
        Series("winner, mean", "line", *_join_curves(table, [means], limit)),
        Series("winner, each fold", "line", *_join_curves(table, _get_fold_curves(best), limit)),
        Series("chosen epoch", "points", [best.epoch], [best.value], is_highlighted=True),
    ]
    chart = Chart("epoch", table.score_axis_title, tuple(each for each in series if each.x))
    return Figure(
        "curves", f"Learning curves of the winner, trial {best.number}", _format_caption(table, pruned), chart
    )


def _get_mean_curve(trial: TrialRecord) -> list[float]:
    return [epoch.mean_score for epoch in trial.epoch_results]


def _get_fold_curves(trial: TrialRecord) -> list[list[float]]:
    return [list(fold) for fold in zip(*(epoch.fold_scores for epoch in trial.epoch_results), strict=True)]


def _join_curves(table: TrialTable, curves: Sequence[Sequence[float]], limit: float) -> tuple[list[float], list[float]]:
    """Several curves as one, with a gap after each; what is too bad to be drawn is a gap as well."""
    x = [float(epoch) for line in curves for epoch in (*range(1, len(line) + 1), len(line))]
    y = [score if table.improvement(score, limit) >= 0 else math.nan for line in curves for score in [*line, math.nan]]
    return x, y


def _format_caption(table: TrialTable, pruned: Sequence[TrialRecord]) -> str:
    best = table.best
    low, high = min(best.fold_scores), max(best.fold_scores)
    over = f"from {table.format_value(low)} to {table.format_value(high)} over its {len(best.fold_scores)} folds"
    epochs = f"{describe_trial(best)} is best after epoch {best.epoch} of {len(best.epoch_results)}"
    sentences = [f"{epochs[0].upper()}{epochs[1:]}: {table.format_value(best.value)}, {over}."]
    if best.epoch == len(best.epoch_results):
        sentences.append("That is its last epoch, so that more epochs may do better.")
    if pruned:
        middle = statistics.median(len(trial.epoch_results) for trial in pruned)
        shown = f" (the last {MAX_PRUNED_CURVES} are drawn)" if len(pruned) > MAX_PRUNED_CURVES else ""
        half = "half of them by" if len(pruned) > 1 else "after"
        sentences.append(f"{pluralize(len(pruned), 'trial')} pruned, {half} epoch {middle:.0f}{shown}.")
    return " ".join(sentences)
