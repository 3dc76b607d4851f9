"""Which classes the winner takes for which, and which labels it misses or sees where they are not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.report.drawing.figure import Figure, Heatmap
from pipeline.report.heldout_predictions import ClassPredictions, LabelPredictions

MAX_NAMES_SHOWN, MAX_PAIRS_LISTED = 20, 3
OUTCOME_NAMES = ("there, found", "there, missed", "not there, seen", "not there, not seen")


def plot_class_confusion(predictions: ClassPredictions) -> Figure:
    """How many rows of each class were called what; of many classes, those most often confused."""
    actual, predicted, count = _count_confusions(predictions)
    selected = _select_classes(predictions, actual, predicted)
    positions = {code: index for index, code in enumerate(selected)}
    values = np.zeros((len(selected), len(selected)))
    for true, answer in zip(predictions.actual.tolist(), predictions.predicted.tolist(), strict=True):
        if true in positions and answer in positions:
            values[positions[true], positions[answer]] += 1
    names = tuple(predictions.classes[code] for code in selected)
    n_correct = int(predictions.is_correct.sum())
    sentences = [f"{n_correct:,} of {len(predictions.actual):,} right ({n_correct / len(predictions.actual):.3f})."]
    if len(count):
        sentences.append(f"Most often confused: {', '.join(_format_pairs(predictions, actual, predicted, count))}.")
    if len(selected) < len(predictions.classes):
        sentences.append(f"Shown are the {len(selected)} of {len(predictions.classes):,} classes with most of it.")
    return Figure(
        "confusion", "What is taken for what", " ".join(sentences), Heatmap("answer", "truth", names, names, values)
    )


def _count_confusions(predictions: ClassPredictions) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The wrong pairs: what it is, what was said, how often; the most frequent first."""
    wrong, classes = ~predictions.is_correct, len(predictions.classes)
    pairs, count = np.unique(predictions.actual[wrong] * classes + predictions.predicted[wrong], return_counts=True)
    order = np.argsort(-count, kind="stable")
    return pairs[order] // classes, pairs[order] % classes, count[order]


def _select_classes(
    predictions: ClassPredictions, actual: NDArray[np.int64], predicted: NDArray[np.int64]
) -> list[int]:
    """The classes that are shown, in order: all, or those of the most frequent wrong pairs, then the first others."""
    if len(predictions.classes) <= MAX_NAMES_SHOWN:
        return list(range(len(predictions.classes)))
    confused = np.stack([actual, predicted], axis=1).reshape(-1).tolist()
    present = np.unique(predictions.actual).tolist()
    return sorted(list(dict.fromkeys([*confused, *present, *range(MAX_NAMES_SHOWN)]))[:MAX_NAMES_SHOWN])


def _format_pairs(
    predictions: ClassPredictions, actual: NDArray[np.int64], predicted: NDArray[np.int64], count: NDArray[np.int64]
) -> list[str]:
    class_counts = np.bincount(predictions.actual, minlength=len(predictions.classes))
    pairs = zip(actual[:MAX_PAIRS_LISTED].tolist(), predicted.tolist(), count.tolist(), strict=False)
    return [
        f"{predictions.classes[a]} taken for {predictions.classes[b]} ({times} of {class_counts[a]})"
        for a, b, times in pairs
    ]


def plot_label_confusion(predictions: LabelPredictions) -> Figure:
    """For each label how often it was found, missed, and seen where it is not; of many, those most often wrong."""
    predicted, actual = predictions.predicted, predictions.actual
    cells = [actual & predicted, actual & ~predicted, ~actual & predicted, ~actual & ~predicted]
    values = np.stack([cell.sum(axis=0) for cell in cells], axis=1).astype(np.float64)
    wrong = values[:, 1] + values[:, 2]
    selected = np.sort(np.argsort(-wrong, kind="stable")[:MAX_NAMES_SHOWN])
    names = tuple(predictions.names[label] for label in selected)
    sentences = [_describe_exact_match(predictions), _describe_worst_label(predictions, values, int(wrong.argmax()))]
    if len(selected) < len(predictions.names):
        sentences.append(
            f"Shown are the {len(selected)} of {len(predictions.names):,} labels that are most often wrong."
        )
    return Figure(
        "confusion",
        "Right and wrong, label by label",
        " ".join(sentences),
        Heatmap("", "", OUTCOME_NAMES, names, values[selected]),
    )


def _describe_exact_match(predictions: LabelPredictions) -> str:
    n_exact = int((predictions.predicted == predictions.actual).all(axis=1).sum())
    return f"Every label right on {n_exact:,} of {len(predictions.actual):,} rows ({n_exact / len(predictions.actual):.3f})."


def _describe_worst_label(predictions: LabelPredictions, values: NDArray[np.float64], worst: int) -> str:
    true_positives, false_negatives, false_positives, true_negatives = values[worst].astype(int).tolist()
    if not false_negatives + false_positives:
        return "No label is ever wrong."
    return (
        f"Most often wrong: {predictions.names[worst]}, missed {false_negatives} times of {true_positives + false_negatives}, and seen {false_positives} times "
        f"of {false_positives + true_negatives} where it is not."
    )
