"""Learning curve of the winner over its training rows, and the gain that a power law predicts for twice as many."""

import math

import numpy as np

from pipeline.report import power_law
from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.learning_curve_fits import LearningCurve
from pipeline.report.power_law import FloatArray, PowerLawFits
from pipeline.report.trials_table import TrialTable

# no confidence interval, which would hold the truth in 95 % of cases: see power_law.fit
INTERVAL_NOTE = "95 % of the fits to resampled folds"
MIN_GAIN = 0.01  # of accuracy or F1, and twice this part of an error: less is negligible


def plot_learning_curve(learning_curve: LearningCurve, table: TrialTable) -> Figure:
    """Return the measured scores, the fitted law up to twice the rows, and a caption with the expected gain."""
    rows = np.array(learning_curve.rows)
    scores = np.array(learning_curve.scores)  # [sizes, folds]
    means = scores.mean(axis=1)
    errors = scores.std(axis=1, ddof=1) / math.sqrt(scores.shape[1] / table.best.repeats)
    low = (means - errors).tolist()
    high = (means + errors).tolist()
    labels = [f"{count:,.0f} training rows" for count in rows]
    series = [Series("measured, ± standard error", "points", rows.tolist(), means.tolist(), low, high, labels)]
    caption = f"The winner's score with all {rows[-1]:,.0f} training rows of a fold is {table.format_value(means[-1])}"
    if len(rows) > 1:
        caption += f", with {rows[0]:,.0f} of them {table.format_value(means[0])}"
    if len(rows) < power_law.MIN_SIZES:
        answer = "There are too few training rows, or too few with a score, to predict the gain from more."
    else:
        fits = power_law.fit(rows, _scores_to_errors(scores.T, table), table.best.repeats)
        answer = _describe_gain(fits, table, rows, _scores_to_errors(means, table), errors)
        series.append(_plot_fit(fits, rows, table))
    chart = Chart("training rows", table.score_axis_title, tuple(series), log_x=True)
    return Figure("more_data", "Learning curve: would more data help?", f"{answer} {caption}.", chart)


def _scores_to_errors(scores: FloatArray, table: TrialTable) -> FloatArray:
    """Return the errors of scores, which fall with more data; or the scores of such errors."""
    return table.metric.perfect_value - scores if table.metric.maximize else scores


def _plot_fit(fits: PowerLawFits, rows: FloatArray, table: TrialTable) -> Series:
    """Return the fit from the fewest rows to twice the most."""
    x = np.geomspace(rows[0], 2 * rows[-1], 40)
    y = _scores_to_errors(fits.predict_errors(x)[0], table)
    ends = [_scores_to_errors(error, table) for error in fits.confidence_band(x)]
    name = "fit, and 95 % of resampled fits"
    return Series(name, "line", x.tolist(), y.tolist(), np.minimum(*ends).tolist(), np.maximum(*ends).tolist())


def _describe_gain(
    fits: PowerLawFits, table: TrialTable, rows: FloatArray, errors: FloatArray, standard_errors: FloatArray
) -> str:
    """Return the gain from twice the data, or that it is negligible, or that the fit does not tell."""
    gain, low, high = fits.gain_from_doubling
    interval = f"{_format_gain(table, low, high)} ({INTERVAL_NOTE})"
    min_gain = MIN_GAIN if table.metric.maximize else 2 * MIN_GAIN * float(errors[-1])
    deviations = np.abs(fits.predict_errors(rows)[0] - errors)
    if (deviations > np.maximum(2 * standard_errors, min_gain)).any():
        return "The gain from more data cannot be predicted: the scores do not follow a power law."
    if high < min_gain:
        is_no_gain = table.metric.maximize and high < 0.0005
        most = "no gain" if is_no_gain else f"at most {_format_gain(table, high)}"
        return f"More data would not help: for twice as much the fit predicts {most}."
    if low > min_gain / 10:  # the error falls for nearly every resampling of the folds
        return f"Twice the data would probably gain {'' if gain >= min_gain else 'little, '}{interval}."
    return f"Whether more data would help is uncertain: for twice as much the fit predicts {interval}."


def _format_gain(table: TrialTable, *ends: float) -> str:
    """Return a gain or an interval of it, in percentage points or in the unit of the error."""
    if table.metric.maximize:
        return f"{' to '.join(f'{100 * end:.1f}' for end in ends)} points"
    return f"{' to '.join(map(table.metric.format, ends))} {table.unit}".strip() + " less error"
