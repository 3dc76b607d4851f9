"""Training curves: the winner's score on each fold, epoch by epoch, in front of those of pruned trials."""

import math
import statistics
from collections.abc import Sequence

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.phrases import capitalize_first, describe_trial
from pipeline.report.trials_table import TrialTable
from pipeline.runtime.text import pluralize
from pipeline.study.trial_record import TrialRecord

MAX_PRUNED_CURVES = 100


def plot_training_curves(table: TrialTable) -> Figure:
    """Return the winner's mean and fold scores by epoch, with the means of pruned trials muted behind them."""
    best = table.best
    pruned = [trial for trial in table.trials if trial.state == "pruned" and trial.epoch_results]
    fold_curves = list(zip(*(epoch.fold_scores for epoch in best.epoch_results), strict=True))
    limit = table.compute_plot_limit([score for curve in fold_curves for score in curve])
    pruned_curves = [_get_mean_curve(trial) for trial in pruned[-MAX_PRUNED_CURVES:]]
    series = [
        Series("pruned trials", "line", *_join_curves(table, pruned_curves, limit), is_muted=True),
        Series("winner, mean", "line", *_join_curves(table, [_get_mean_curve(best)], limit)),
        Series("winner, each fold", "line", *_join_curves(table, fold_curves, limit)),
        Series("best epoch", "points", [best.epoch], [best.value], is_highlighted=True),
    ]
    chart = Chart("epoch", table.score_axis_title, tuple(each for each in series if each.x))
    title = f"Training curves of the winner, trial {best.number}"
    return Figure("curves", title, _format_caption(table, pruned), chart)


def _get_mean_curve(trial: TrialRecord) -> list[float]:
    return [epoch.mean_score for epoch in trial.epoch_results]


def _join_curves(table: TrialTable, curves: Sequence[Sequence[float]], limit: float) -> tuple[list[float], list[float]]:
    """Return several curves as one, with a gap after each and at every score beyond the plot limit."""
    x = [float(epoch) for curve in curves for epoch in (*range(1, len(curve) + 1), len(curve))]
    y = [score if table.improvement(score, limit) >= 0 else math.nan for line in curves for score in [*line, math.nan]]
    return x, y


def _format_caption(table: TrialTable, pruned: Sequence[TrialRecord]) -> str:
    best = table.best
    epochs = len(best.epoch_results)
    low, high = (table.format_value(end) for end in (min(best.fold_scores), max(best.fold_scores)))
    spread = f"{table.format_value(best.value)}, from {low} to {high} over its {len(best.fold_scores)} folds"
    sentences = [f"{capitalize_first(describe_trial(best))} is best after epoch {best.epoch} of {epochs}: {spread}."]
    if best.epoch == epochs:
        sentences.append("That is its last epoch, so more epochs may improve it.")
    if pruned:
        middle = statistics.median(len(trial.epoch_results) for trial in pruned)
        verb = "were pruned, half of them by" if len(pruned) > 1 else "was pruned after"
        note = f" (the last {MAX_PRUNED_CURVES} are shown)" if len(pruned) > MAX_PRUNED_CURVES else ""
        sentences.append(f"{pluralize(len(pruned), 'trial')} {verb} epoch {middle:.0f}{note}.")
    return " ".join(sentences)
