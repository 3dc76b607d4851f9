"""How far the winner's numbers are from the truth: one against the other, and the spread of the error."""

from __future__ import annotations

import numpy as np

from pipeline.config.metrics import METRICS
from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.heldout_predictions import HeldoutPredictions, NumberPredictions
from pipeline.report.trials_table import pluralize

MAX_POINTS, N_BINS = 2_000, 30
METRIC = METRICS["mean_absolute_error"]


def plot_residuals(heldout: HeldoutPredictions, predictions: NumberPredictions) -> list[Figure]:
    """Said against true, and how often which error is made."""
    return [_plot_predicted_vs_actual(heldout, predictions), _plot_error_histogram(predictions)]


def _format_axis_title(title: str, unit: str) -> str:
    return f"{title} ({unit})" if unit else title


def _plot_predicted_vs_actual(heldout: HeldoutPredictions, predictions: NumberPredictions) -> Figure:
    step = -(-len(predictions.predicted) // MAX_POINTS)  # a page of more points is slow, and shows no more
    plotted_rows = range(0, len(predictions.predicted), step)
    low, high = (float(value) for value in (predictions.actual.min(), predictions.actual.max()))
    points = Series(
        "test rows",
        "points",
        [float(predictions.actual[row]) for row in plotted_rows],
        [float(predictions.predicted[row]) for row in plotted_rows],
        point_labels=[heldout.format_row_name(row) for row in plotted_rows],
    )
    chart = Chart(
        _format_axis_title("true", predictions.unit),
        _format_axis_title("said", predictions.unit),
        (Series("said = true", "line", [low, high], [low, high], is_muted=True), points),
    )
    caption = f"The answers are {_format_error(predictions, float(np.abs(predictions.error).mean()))} from the truth on average."
    if step > 1:
        caption += f" One in {step} of {len(predictions.predicted):,} rows is shown."
    return Figure("residuals", "Said against true", " ".join([caption, *_describe_tail_bias(predictions)]), chart)


def _describe_tail_bias(predictions: NumberPredictions) -> list[str]:
    """Whether small numbers are said too large and large ones too small, as far as there are rows enough to see."""
    if len(predictions.actual) < 10:
        return []
    deciles = np.quantile(predictions.actual, [0.1, 0.9])
    parts = []
    for name, rows in (("smallest", predictions.actual <= deciles[0]), ("largest", predictions.actual >= deciles[1])):
        mean = float(predictions.error[rows].mean())
        parts.append(
            f"the {name} tenth is said {_format_error(predictions, abs(mean))} too {'large' if mean > 0 else 'small'}"
        )
    first, second = parts
    return [f"{first[0].upper()}{first[1:]} on average, {second}."]


def _plot_error_histogram(predictions: NumberPredictions) -> Figure:
    """The middle 98 % of the errors in bars of equal width; what lies beyond is in the first and the last."""
    low, high = (float(end) for end in np.quantile(predictions.error, [0.01, 0.99]))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, N_BINS + 1)
    counts, _ = np.histogram(np.clip(predictions.error, low, high), edges)
    middles = ((edges[:-1] + edges[1:]) / 2).tolist()
    bars = Series("test rows", "bars", middles, counts.astype(float).tolist())
    beyond = int(((predictions.error < low) | (predictions.error > high)).sum())
    chart = Chart(_format_axis_title("error, said minus true", predictions.unit), "test rows", (bars,))
    half, most = (float(share) for share in np.quantile(np.abs(predictions.error), [0.5, 0.9]))
    caption = (
        f"Half of the answers are within {_format_error(predictions, half)} of the truth, nine in ten within "
        f"{_format_error(predictions, most)}; the middle one is {_format_error(predictions, abs(float(np.median(predictions.error))))} too "
        f"{'large' if np.median(predictions.error) > 0 else 'small'}."
    )
    caption += (
        f" The first and the last bar also hold the {pluralize(beyond, 'row')} with larger errors." if beyond else ""
    )
    return Figure("error_spread", "The spread of the error", caption, chart)


def _format_error(predictions: NumberPredictions, value: float) -> str:
    return f"{METRIC.format(value)} {predictions.unit}".strip()
