"""Predicted against true values, and the distribution of the errors."""

import numpy as np

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.heldout_predictions import HeldoutPredictions, NumberPredictions
from pipeline.report.phrases import add_unit, capitalize_first
from pipeline.runtime.text import pluralize

MAX_POINTS = 2_000  # a page with more is slow and shows no more
N_BINS = 30
MIN_ROWS_FOR_TAILS = 10


def plot_predicted_vs_actual(heldout: HeldoutPredictions) -> Figure:
    """Return predicted against true values of the test rows, beside the diagonal of equal ones."""
    predictions = heldout.number_predictions
    step = -(-len(heldout) // MAX_POINTS)
    actual = predictions.actual[::step].tolist()
    labels = [heldout.format_row_name(row) for row in range(0, len(heldout), step)]
    points = Series("test rows", "points", actual, predictions.predicted[::step].tolist(), point_labels=labels)
    ends = [float(predictions.actual.min()), float(predictions.actual.max())]
    diagonal = Series("predicted = true", "line", ends, ends, is_muted=True)
    sentences = [f"Mean absolute error {predictions.format_value(float(np.abs(predictions.error).mean()))}."]
    if step > 1:
        sentences.append(f"One in {step} of {len(heldout):,} rows is shown.")
    if len(heldout) >= MIN_ROWS_FOR_TAILS:
        sentences.append(_describe_tail_bias(predictions))
    unit = predictions.unit
    chart = Chart(add_unit("true value", unit), add_unit("predicted value", unit), (diagonal, points))
    return Figure("residuals", "Predicted against true values", " ".join(sentences), chart)


def _describe_tail_bias(predictions: NumberPredictions) -> str:
    """Return the mean error of the rows with the smallest tenth of true values, and of those with the largest."""
    low, high = np.quantile(predictions.actual, [0.1, 0.9])
    parts = []
    for name, rows in (("smallest", predictions.actual <= low), ("largest", predictions.actual >= high)):
        mean = float(predictions.error[rows].mean())
        parts.append(f"the {name} tenth is predicted {_describe_bias(predictions, mean)}")
    return f"{capitalize_first(parts[0])} on average, {parts[1]}."


def _describe_bias(predictions: NumberPredictions, error: float) -> str:
    return f"{predictions.format_value(abs(error))} too {'large' if error > 0 else 'small'}"


def plot_error_histogram(predictions: NumberPredictions) -> Figure:
    """Return the middle 98 % of the errors in bins of equal width; the first and the last hold those beyond."""
    error = predictions.error
    low, high = map(float, np.quantile(error, [0.01, 0.99]))
    if high <= low:
        low -= 0.5
        high += 0.5
    counts, edges = np.histogram(np.clip(error, low, high), N_BINS, (low, high))
    middles = (edges[:-1] + edges[1:]) / 2
    bars = Series("test rows", "bars", middles.tolist(), counts.astype(float).tolist())
    chart = Chart(add_unit("error, predicted - true", predictions.unit), "test rows", (bars,))
    half, most = (predictions.format_value(float(size)) for size in np.quantile(np.abs(error), [0.5, 0.9]))
    caption = f"Half of the absolute errors are at most {half}, nine in ten at most {most}; "
    caption += f"the median prediction is {_describe_bias(predictions, float(np.median(error)))}."
    n_beyond = int(((error < low) | (error > high)).sum())
    if n_beyond:
        caption += f" The first and the last bar include {pluralize(n_beyond, 'row')} with larger errors."
    return Figure("error_spread", "Distribution of the errors", caption, chart)
