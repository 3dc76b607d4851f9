"""The rows with the most confident mistakes or the largest errors, and those with the least confident predictions."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.report.drawing.figure import Chart, Figure, ImageGrid, Series
from pipeline.report.heldout_predictions import HeldoutPredictions
from pipeline.report.phrases import add_unit

MAX_ROWS_SHOWN = 10


@dataclass(frozen=True)
class _RowFigures:
    """Figures of test rows: images, or bars of [T] heights; describe: returns the truth and the prediction of a row."""

    heldout: HeldoutPredictions
    describe: Callable[[int], str]
    bar_title: str
    bar_values: NDArray[np.float64]

    def plot_mistakes(self, badness: NDArray[np.float64], is_wrong: NDArray[np.bool_], wrong: str) -> list[Figure]:
        """Return the wrong rows with the greatest badness [T]; no figure if no row is wrong."""
        rows = _select_lowest(-badness, np.flatnonzero(is_wrong))
        if not rows:
            return []
        count = int(is_wrong.sum())
        total = f"{count:,} of {len(self.heldout):,} test rows {'is' if count == 1 else 'are'} {wrong}."
        return [self.plot_rows("mistakes", "Most confident mistakes", "Most confident mistake", rows, total)]

    def plot_unsure(self, margins: NDArray[np.float64], note: str = "") -> Figure:
        """Return the rows with the smallest margins [T]."""
        rows = _select_lowest(margins, np.arange(len(self.heldout)))
        return self.plot_rows("unsure", "Least confident predictions", "Least confident", rows, note)

    def plot_rows(self, name: str, title: str, first: str, rows: list[int], note: str = "") -> Figure:
        """Return images of rows with their descriptions, or bars for rows of a table; the caption names the first."""
        row_names = list(map(self.heldout.format_row_name, rows))
        descriptions = list(map(self.describe, rows))
        caption = f"{first}: {row_names[0]}, {descriptions[0]}. {note}".strip()
        if self.heldout.images is not None:
            captions = [f"{text}: {row_name}" for row_name, text in zip(row_names, descriptions, strict=True)]
            return Figure(name, title, caption, ImageGrid(tuple(map(self.heldout.read_image, rows)), tuple(captions)))
        heights = self.bar_values[rows].tolist()
        series = Series("test rows", "bars", row_names, heights, point_labels=descriptions)
        return Figure(name, title, caption, Chart("", self.bar_title, (series,)))


def plot_worst_predictions(heldout: HeldoutPredictions) -> list[Figure]:
    """Return up to two figures of the head's preferred kind of predictions: image grids, or bars for tables.

    A figure without rows is left out.
    """
    plot_by_kind = {"classes": _plot_classes, "labels": _plot_labels, "numbers": _plot_largest_errors}
    return plot_by_kind[heldout.head.prediction_kinds[0]](heldout)


def _select_lowest(values: NDArray[np.float64], rows: NDArray[np.int64]) -> list[int]:
    """Return the rows with the smallest values, equal ones in order."""
    return [int(row) for row in rows[np.argsort(values[rows], kind="stable")][:MAX_ROWS_SHOWN]]


def _plot_classes(heldout: HeldoutPredictions) -> list[Figure]:
    predictions = heldout.class_predictions

    def describe(row: int) -> str:
        actual = predictions.classes[predictions.actual[row]]
        predicted = predictions.classes[predictions.predicted[row]]
        return f"{actual} predicted as {predicted} ({predictions.confidence[row]:.2f})"

    confidence = predictions.confidence
    figures = _RowFigures(heldout, describe, "probability of the predicted class", confidence)
    chance = f"A uniform guess has {1 / len(predictions.classes):.2g} for each class."
    mistakes = figures.plot_mistakes(confidence, ~predictions.is_correct, "wrong")
    return [*mistakes, figures.plot_unsure(confidence, chance)]


def _plot_labels(heldout: HeldoutPredictions) -> list[Figure]:
    """Return each row with the label whose probability is farthest on the wrong side, or nearest to one half."""
    predictions = heldout.label_predictions
    probabilities = predictions.probabilities
    rows = np.arange(len(heldout))
    is_wrong = predictions.predicted != predictions.actual
    errors = np.where(is_wrong, np.abs(probabilities - predictions.actual), 0.0)
    worst = errors.argmax(axis=1)
    margins = np.abs(probabilities - 0.5)
    nearest = margins.argmin(axis=1)

    def describe(row: int, label: int) -> str:
        negation = "" if predictions.actual[row, label] else "no "
        return f"{negation}{predictions.names[label]}, predicted {probabilities[row, label]:.2f}"

    worst_errors = errors[rows, worst]
    mistakes = _RowFigures(heldout, lambda row: describe(row, worst[row]), "|probability - truth|", worst_errors)
    shown = probabilities[rows, nearest]
    unsure = _RowFigures(heldout, lambda row: describe(row, nearest[row]), "probability of the label", shown)
    wrong = mistakes.plot_mistakes(worst_errors, is_wrong.any(axis=1), "wrong about a label")
    return [*wrong, unsure.plot_unsure(margins[rows, nearest])]


def _plot_largest_errors(heldout: HeldoutPredictions) -> list[Figure]:
    predictions = heldout.number_predictions

    def describe(row: int) -> str:
        actual = predictions.format_value(predictions.actual[row])
        return f"{actual} predicted as {predictions.format_value(predictions.predicted[row])}"

    rows = _select_lowest(-np.abs(predictions.error), np.arange(len(heldout)))
    figures = _RowFigures(heldout, describe, add_unit("error, predicted - true", predictions.unit), predictions.error)
    return [figures.plot_rows("mistakes", "Largest errors", "Largest error", rows)]
