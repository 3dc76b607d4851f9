"""Learning curves: the winner on each fold, epoch by epoch, and those that were pruned behind it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.trials_table import Tried, many, named
from pipeline.study.trial_record import Row

MOST_PRUNED = 100


def curves(tried: Tried) -> Figure:
    """The winner's mean and its score on each fold; behind them, quiet, the means of pruned trials."""
    best, pruned = tried.best, [row for row in tried.rows if row.state == "pruned" and row.curve]
    means = [epoch.mean for epoch in best.curve]
    worst = tried.worst_of([score for epoch in best.curve for score in epoch.folds])  # the first epochs' may be far
    series = [
        Series(
            "pruned trials", "line", *_joined(tried, [_means(row) for row in pruned[-MOST_PRUNED:]], worst), quiet=True
        ),
        Series("winner, mean", "line", *_joined(tried, [means], worst)),
        Series("winner, each fold", "line", *_joined(tried, _folds(best), worst)),
        Series("chosen epoch", "points", [best.epoch], [best.value], ring=True),
    ]
    drawn = Chart("epoch", tried.score, tuple(each for each in series if each.x))
    return Figure("curves", f"Learning curves of the winner, trial {best.number}", _words(tried, pruned), drawn)


def _means(row: Row) -> list[float]:
    return [epoch.mean for epoch in row.curve]


def _folds(row: Row) -> list[list[float]]:
    return [list(fold) for fold in zip(*(epoch.folds for epoch in row.curve), strict=True)]


def _joined(tried: Tried, lines: Sequence[Sequence[float]], worst: float) -> tuple[list[float], list[float]]:
    """Several curves as one, with a gap after each; what is too bad to be drawn is a gap as well."""
    x = [float(epoch) for line in lines for epoch in (*range(1, len(line) + 1), len(line))]
    y = [score if tried.better(score, worst) >= 0 else math.nan for line in lines for score in [*line, math.nan]]
    return x, y


def _words(tried: Tried, pruned: Sequence[Row]) -> str:
    best = tried.best
    low, high = min(best.folds), max(best.folds)
    over = f"from {tried.says(low)} to {tried.says(high)} over its {len(best.folds)} folds"
    epochs = f"{named(best)} is best after epoch {best.epoch} of {len(best.curve)}"
    said = [f"{epochs[0].upper()}{epochs[1:]}: {tried.says(best.value)}, {over}."]
    if best.epoch == len(best.curve):
        said.append("That is its last epoch, so that more epochs may do better.")
    if pruned:
        middle = statistics.median(len(row.curve) for row in pruned)
        shown = f" (the last {MOST_PRUNED} are drawn)" if len(pruned) > MOST_PRUNED else ""
        half = "half of them by" if len(pruned) > 1 else "after"
        said.append(f"{many(len(pruned), 'trial')} pruned, {half} epoch {middle:.0f}{shown}.")
    return " ".join(said)
