"""Would more data help? The winner's learning curve over its training rows, and what it expects of twice as many."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.report import power_law
from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.learning_curve_fits import LearningCurve, ProgressCallback, load_or_measure
from pipeline.report.power_law import FloatArray, PowerLawFits
from pipeline.report.trials_table import TrialTable
from pipeline.study.problem import Problem

INTERVAL_NOTE = "95 % of the fits to redrawn folds"  # no interval that holds the truth as often: see power_law.fit
MIN_GAIN = 0.01  # of a share of right answers, and of an error twice this part of it: less is no help


def build_learning_curve_figure(
    problem: Problem, seed: int, table: TrialTable, folder: Path, on_progress: ProgressCallback
) -> Figure:
    """The learning curve of the best trial, trained where the folder does not keep it yet; see `refits.curve`."""
    return plot_learning_curve(load_or_measure(problem, seed, table.best, folder, on_progress), table)


def plot_learning_curve(learning_curve: LearningCurve, table: TrialTable) -> Figure:
    """The measured scores, the fitted law up to twice the rows, and the answer in words."""
    rows, scores = np.array(learning_curve.rows), np.array(learning_curve.scores)  # [sizes], [sizes, folds]
    means, spread = scores.mean(axis=1), scores.std(axis=1, ddof=1) / math.sqrt(scores.shape[1] / table.best.repeats)
    measured = Series(
        "measured, ± standard error",
        "points",
        rows.tolist(),
        means.tolist(),
        (means - spread).tolist(),
        (means + spread).tolist(),
        [f"{count:,.0f} training rows" for count in rows],
    )
    caption = f"With all {rows[-1]:,.0f} training rows of a fold the winner came to {table.format_value(means[-1])} in its search"
    caption += f", with {rows[0]:,.0f} of them to {table.format_value(means[0])}." if len(rows) > 1 else "."
    chart = Chart("training rows", table.score_axis_title, (measured,), log_x=True)
    if len(rows) < power_law.MIN_SIZES:
        warning = "There are too few training rows, or too few on which it learns, to say what more would bring."
        return Figure("more_data", "Would more data help?", f"{warning} {caption}", chart)
    fits = power_law.fit(rows, _scores_to_errors(scores.T, table), table.best.repeats)
    answer = _describe_gain(fits, table, rows, _scores_to_errors(means, table), spread)
    series = (measured, _plot_fit(fits, rows, table))
    return Figure("more_data", "Would more data help?", f"{answer} {caption}", replace(chart, series=series))


def _scores_to_errors(scores: FloatArray, table: TrialTable) -> FloatArray:
    """What falls with more data, from scores; and scores from that."""
    return 1 - scores if table.maximize else scores


def _plot_fit(fits: PowerLawFits, rows: FloatArray, table: TrialTable) -> Series:
    """The fit from the fewest rows to twice as many as there are."""
    x = np.geomspace(rows[0], 2 * rows[-1], 40)
    y, *ends = (_scores_to_errors(error, table) for error in (fits.predict_errors(x)[0], *fits.confidence_band(x)))
    low, high = np.minimum(*ends), np.maximum(*ends)
    return Series("fit, and 95 % of redrawn ones", "line", x.tolist(), y.tolist(), low.tolist(), high.tolist())


def _describe_gain(
    fits: PowerLawFits, table: TrialTable, rows: FloatArray, errors: FloatArray, spread: FloatArray
) -> str:
    """What twice the data would gain, or that it would not help, or that the fit does not say."""
    likely, low, high = fits.gain_from_doubling
    gain, min_gain = _format_gain(low, high, table), MIN_GAIN if table.maximize else 2 * MIN_GAIN * float(errors[-1])
    if (np.abs(fits.predict_errors(rows)[0] - errors) > np.maximum(2 * spread, min_gain)).any():
        return "What more data would bring cannot be told: the points do not lie on the curve that such points follow."
    if high < min_gain:
        return f"More data would not help: of twice as much the fit expects {_format_upper_gain(high, table)}."
    if low > min_gain / 10:  # nearly every draw of the folds says that the error falls
        return f"Twice the data would probably gain {'' if likely >= min_gain else 'little, '}{gain} ({INTERVAL_NOTE})."
    return f"Whether more data would help cannot be told: of twice as much the fit expects {gain} ({INTERVAL_NOTE})."


def _format_upper_gain(high: float, table: TrialTable) -> str:
    """The upper end of the interval, where it is little."""
    if table.maximize:
        return f"at most {100 * high:.1f} points" if high >= 0.0005 else "nothing"
    return f"at most {table.metric.format(high)} {table.unit}".strip() + " less error"


def _format_gain(low: float, high: float, table: TrialTable) -> str:
    """From where to where, in points of a share or in the unit of an error."""
    if table.maximize:
        return f"{100 * low:.1f} to {100 * high:.1f} points"
    return f"{table.metric.format(low)} to {table.metric.format(high)} {table.unit}".strip() + " less error"
