"""Predicted against true values, and the distribution of the errors."""

from __future__ import annotations

import numpy as np

from pipeline.config.metrics import METRICS
from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.heldout_predictions import HeldoutPredictions, NumberPredictions
from pipeline.report.phrases import capitalize_first, pluralize

MAX_POINTS = 2_000  # a page with more is slow and shows no more
N_BINS = 30
MIN_ROWS_FOR_TAILS = 10
METRIC = METRICS["mean_absolute_error"]


def plot_residuals(heldout: HeldoutPredictions, predictions: NumberPredictions) -> list[Figure]:
    """Return predicted against true values, and the histogram of the errors."""
    return [_plot_predicted_vs_actual(heldout, predictions), _plot_error_histogram(predictions)]


def _format_axis_title(title: str, unit: str) -> str:
    return f"{title} ({unit})" if unit else title


def _plot_predicted_vs_actual(heldout: HeldoutPredictions, predictions: NumberPredictions) -> Figure:
    n_rows = len(predictions.predicted)
    step = -(-n_rows // MAX_POINTS)
    actual = predictions.actual[::step].tolist()
    labels = [heldout.format_row_name(row) for row in range(0, n_rows, step)]
    points = Series("test rows", "points", actual, predictions.predicted[::step].tolist(), point_labels=labels)
    ends = [float(predictions.actual.min()), float(predictions.actual.max())]
    diagonal = Series("predicted = true", "line", ends, ends, is_muted=True)
    x_title = _format_axis_title("true value", predictions.unit)
    y_title = _format_axis_title("predicted value", predictions.unit)
    sentences = [f"Mean absolute error {_format_error(predictions, float(np.abs(predictions.error).mean()))}."]
    if step > 1:
        sentences.append(f"One in {step} of {n_rows:,} rows is shown.")
    if n_rows >= MIN_ROWS_FOR_TAILS:
        sentences.append(_describe_tail_bias(predictions))
    chart = Chart(x_title, y_title, (diagonal, points))
    return Figure("residuals", "Predicted against true values", " ".join(sentences), chart)


def _describe_tail_bias(predictions: NumberPredictions) -> str:
    """Return the mean error of the rows with the smallest tenth of true values, and of those with the largest."""
    low, high = np.quantile(predictions.actual, [0.1, 0.9])
    parts = []
    for name, rows in (("smallest", predictions.actual <= low), ("largest", predictions.actual >= high)):
        mean = float(predictions.error[rows].mean())
        size = _format_error(predictions, abs(mean))
        parts.append(f"the {name} tenth is predicted {size} too {'large' if mean > 0 else 'small'}")
    return f"{capitalize_first(parts[0])} on average, {parts[1]}."


def _plot_error_histogram(predictions: NumberPredictions) -> Figure:
    """Return the middle 98 % of the errors in bins of equal width; the first and the last hold those beyond."""
    error = predictions.error
    low, high = map(float, np.quantile(error, [0.01, 0.99]))
    if high <= low:
        low -= 0.5
        high += 0.5
    edges = np.linspace(low, high, N_BINS + 1)
    counts, _ = np.histogram(np.clip(error, low, high), edges)
    middles = (edges[:-1] + edges[1:]) / 2
    bars = Series("test rows", "bars", middles.tolist(), counts.astype(float).tolist())
    chart = Chart(_format_axis_title("error, predicted - true", predictions.unit), "test rows", (bars,))
    half, most = map(float, np.quantile(np.abs(error), [0.5, 0.9]))
    median = float(np.median(error))
    caption = (
        f"Half of the absolute errors are at most {_format_error(predictions, half)}, nine in ten at most "
        f"{_format_error(predictions, most)}; the median prediction is {_format_error(predictions, abs(median))} too "
        f"{'large' if median > 0 else 'small'}."
    )
    n_beyond = int(((error < low) | (error > high)).sum())
    if n_beyond:
        caption += f" The first and the last bar include {pluralize(n_beyond, 'row')} with larger errors."
    return Figure("error_spread", "Distribution of the errors", caption, chart)


def _format_error(predictions: NumberPredictions, value: float) -> str:
    return f"{METRIC.format(value)} {predictions.unit}".strip()
