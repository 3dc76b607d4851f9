"""The rows where the winner is most surely wrong, those farthest off, and those where it is least sure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.models.heads import AnyHead
from pipeline.report.drawing.figure import Chart, Figure, ImageGrid, Series
from pipeline.report.heldout_predictions import (
    ClassPredictions,
    HeldoutPredictions,
    LabelPredictions,
    NumberPredictions,
)

MAX_ROWS_SHOWN = 10


def plot_worst_predictions(heldout: HeldoutPredictions) -> list[Figure]:
    """One or two figures: pictures, or for the rows of a table bars. None of what does not happen."""
    if heldout.class_predictions is not None:
        candidates = [
            _plot_wrong_classes(heldout, heldout.class_predictions),
            _plot_unsure_classes(heldout, heldout.class_predictions),
        ]
    elif heldout.label_predictions is not None:
        candidates = [
            _plot_wrong_labels(heldout, heldout.label_predictions),
            _plot_unsure_labels(heldout, heldout.label_predictions),
        ]
    else:
        assert heldout.number_predictions is not None
        candidates = [_plot_largest_errors(heldout, heldout.number_predictions)]
    return [figure for figure in candidates if figure is not None]


def _select_lowest(values: NDArray[np.float64], rows: NDArray[np.int64]) -> list[int]:
    """Of the rows those with the smallest numbers, equal ones in order."""
    return [int(row) for row in rows[np.argsort(values[rows], kind="stable")][:MAX_ROWS_SHOWN]]


def _plot_wrong_classes(heldout: HeldoutPredictions, predictions: ClassPredictions) -> Figure | None:
    rows = _select_lowest(-predictions.confidence, np.flatnonzero(~predictions.is_correct))
    if not rows:
        return None
    descriptions = [
        f"{predictions.classes[predictions.actual[row]]}, said {_format_class(predictions, row)}" for row in rows
    ]
    worst = f"Most surely wrong: {heldout.format_row_name(rows[0])} is {descriptions[0]}."
    count = int((~predictions.is_correct).sum())
    return _build_figure(
        heldout,
        "mistakes",
        "Most surely wrong",
        f"{worst} {_format_row_count(count, len(heldout), 'wrong')}",
        rows,
        descriptions,
        ("probability of the wrong answer", predictions.confidence[rows].tolist()),
    )


def _plot_unsure_classes(heldout: HeldoutPredictions, predictions: ClassPredictions) -> Figure:
    rows = _select_lowest(predictions.confidence, np.arange(len(heldout)))
    descriptions = [
        f"{_format_class(predictions, row)}, is {predictions.classes[predictions.actual[row]]}" for row in rows
    ]
    chance = 1 / len(predictions.classes)
    caption = f"Least sure: {heldout.format_row_name(rows[0])}, said {descriptions[0]}. Knowing nothing would be {chance:.2g} for each class."
    bars = ("probability of its answer", predictions.confidence[rows].tolist())
    return _build_figure(heldout, "unsure", "Least sure", caption, rows, descriptions, bars)


def _format_class(predictions: ClassPredictions, row: int) -> str:
    return f"{predictions.classes[predictions.predicted[row]]} {predictions.confidence[row]:.2f}"


def _plot_wrong_labels(heldout: HeldoutPredictions, predictions: LabelPredictions) -> Figure | None:
    """Each row with the label that it is most surely wrong about."""
    errors = np.where(
        predictions.predicted != predictions.actual, np.abs(predictions.probabilities - predictions.actual), 0.0
    )
    rows = _select_lowest(-errors.max(axis=1), np.flatnonzero(errors.any(axis=1)))
    if not rows:
        return None
    worst = errors.argmax(axis=1)
    descriptions = [_format_label(predictions, row, int(worst[row])) for row in rows]
    caption = f"Most surely wrong: {heldout.format_row_name(rows[0])}: {descriptions[0]}."
    count = _format_row_count(int(errors.any(axis=1).sum()), len(heldout), "wrong about a label")
    bars = ("how far from the truth", errors.max(axis=1)[rows].tolist())
    return _build_figure(heldout, "mistakes", "Most surely wrong", f"{caption} {count}", rows, descriptions, bars)


def _plot_unsure_labels(heldout: HeldoutPredictions, predictions: LabelPredictions) -> Figure:
    """Each row with the label whose probability is nearest to one half."""
    margins = np.abs(predictions.probabilities - 0.5)
    rows, nearest = _select_lowest(margins.min(axis=1), np.arange(len(heldout))), margins.argmin(axis=1)
    descriptions = [_format_label(predictions, row, int(nearest[row])) for row in rows]
    caption = f"Least sure: {heldout.format_row_name(rows[0])}: {descriptions[0]}."
    bars = ("probability of the label", [float(predictions.probabilities[row, nearest[row]]) for row in rows])
    return _build_figure(heldout, "unsure", "Least sure", caption, rows, descriptions, bars)


def _format_label(predictions: LabelPredictions, row: int, label: int) -> str:
    negation = "" if predictions.actual[row, label] else "no "
    return f"{negation}{predictions.names[label]}, said {predictions.probabilities[row, label]:.2f}"


def _plot_largest_errors(heldout: HeldoutPredictions, predictions: NumberPredictions) -> Figure:
    rows = _select_lowest(-np.abs(predictions.error), np.arange(len(heldout)))
    descriptions = [
        f"{_format_number(heldout.head, predictions.actual[row])}, said {_format_number(heldout.head, predictions.predicted[row])}"
        for row in rows
    ]
    caption = f"Farthest off: {heldout.format_row_name(rows[0])} is {descriptions[0]}."
    title = f"error, said minus true ({predictions.unit})" if predictions.unit else "error, said minus true"
    return _build_figure(
        heldout, "mistakes", "Farthest off", caption, rows, descriptions, (title, predictions.error[rows].tolist())
    )


def _format_number(head: AnyHead, value: float) -> str:
    """A number of the target as the head says it."""
    digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{digits} {getattr(head, 'unit', '')}".strip()


def _format_row_count(count: int, rows: int, what: str) -> str:
    return f"{count:,} of {rows:,} test rows {'is' if count == 1 else 'are'} {what}."


def _build_figure(
    heldout: HeldoutPredictions,
    name: str,
    title: str,
    caption: str,
    rows: list[int],
    descriptions: list[str],
    bars: tuple[str, list[float]],
) -> Figure:
    """Pictures with what was said under them; rows of a table as bars, whose axis and heights are given."""
    if heldout.images is not None:
        captions = tuple(
            f"{words}: {heldout.format_row_name(row)}" for row, words in zip(rows, descriptions, strict=True)
        )
        return Figure(name, title, caption, ImageGrid(tuple(map(heldout.read_image, rows)), captions))
    axis, heights = bars
    names = list(map(heldout.format_row_name, rows))
    series = Series("test rows", "bars", names, heights, point_labels=descriptions)
    return Figure(name, title, caption, Chart("", axis, (series,)))
