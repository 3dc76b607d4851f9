"""Confusion matrix of classes, and the four outcomes of each label."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix

from pipeline.report.drawing.figure import Figure, Heatmap
from pipeline.report.heldout_predictions import ClassPredictions, LabelPredictions

MAX_NAMES_SHOWN = 20
MAX_PAIRS_LISTED = 3
OUTCOMES = ("true positive", "false negative", "false positive", "true negative")
ClassPair = tuple[int, int]  # true class, predicted class


def plot_class_confusion(predictions: ClassPredictions) -> Figure:
    """Return the number of rows by true and predicted class; of many classes, those most often confused."""
    pairs = _count_confused_pairs(predictions)
    selected = _select_classes(predictions, pairs)
    values = confusion_matrix(predictions.actual, predictions.predicted, labels=selected).astype(np.float64)
    names = tuple(predictions.classes[code] for code in selected)
    n_rows = len(predictions.actual)
    n_correct = int(predictions.is_correct.sum())
    sentences = [f"{n_correct:,} of {n_rows:,} correct ({n_correct / n_rows:.3f})."]
    if pairs:
        sentences.append(f"Most often confused: {_format_pairs(predictions, pairs[:MAX_PAIRS_LISTED])}.")
    if len(selected) < len(predictions.classes):
        sentences.append(f"The {len(selected)} of {len(predictions.classes):,} classes with most errors are shown.")
    heatmap = Heatmap("predicted class", "true class", names, names, values)
    return Figure("confusion", "Confusion matrix", " ".join(sentences), heatmap)


def _count_confused_pairs(predictions: ClassPredictions) -> list[tuple[ClassPair, int]]:
    """Return each pair of a true and a wrongly predicted class with its number of rows, the most frequent first."""
    wrong = ~predictions.is_correct
    pairs = zip(predictions.actual[wrong].tolist(), predictions.predicted[wrong].tolist(), strict=True)
    return sorted(Counter(pairs).items(), key=lambda item: (-item[1], item[0]))


def _select_classes(predictions: ClassPredictions, pairs: list[tuple[ClassPair, int]]) -> list[int]:
    """Return the classes to show in order: all, or those of the most frequent confusions, then the first others."""
    if len(predictions.classes) <= MAX_NAMES_SHOWN:
        return list(range(len(predictions.classes)))
    confused = [code for pair, _ in pairs for code in pair]
    present = np.unique(predictions.actual).tolist()
    return sorted(list(dict.fromkeys([*confused, *present, *range(MAX_NAMES_SHOWN)]))[:MAX_NAMES_SHOWN])


def _format_pairs(predictions: ClassPredictions, pairs: list[tuple[ClassPair, int]]) -> str:
    classes = predictions.classes
    totals = np.bincount(predictions.actual, minlength=len(classes))
    return ", ".join(
        f"{classes[actual]} predicted as {classes[predicted]} ({count} of {totals[actual]})"
        for (actual, predicted), count in pairs
    )


def plot_label_confusion(predictions: LabelPredictions) -> Figure:
    """Return the number of rows by outcome for each label; of many labels, those most often wrong."""
    matrices = multilabel_confusion_matrix(predictions.actual, predictions.predicted)  # [[tn, fp], [fn, tp]] a label
    values = matrices.reshape(-1, 4)[:, ::-1].astype(np.float64)
    wrong = values[:, 1] + values[:, 2]
    selected = np.sort(np.argsort(-wrong, kind="stable")[:MAX_NAMES_SHOWN])
    names = tuple(predictions.names[label] for label in selected)
    worst = int(wrong.argmax())
    n_rows = len(predictions.actual)
    n_exact = int((predictions.predicted == predictions.actual).all(axis=1).sum())
    exact = f"Every label correct on {n_exact:,} of {n_rows:,} rows ({n_exact / n_rows:.3f})."
    sentences = [exact, _describe_worst_label(predictions.names[worst], values[worst])]
    if len(selected) < len(predictions.names):
        sentences.append(f"The {len(selected)} of {len(predictions.names):,} labels with most errors are shown.")
    heatmap = Heatmap("", "", OUTCOMES, names, values[selected])
    return Figure("confusion", "Confusion by label", " ".join(sentences), heatmap)


def _describe_worst_label(name: str, outcomes: NDArray[np.float64]) -> str:
    tp, fn, fp, tn = outcomes.astype(int).tolist()
    if not fn + fp:
        return "No label is ever wrong."
    return f"Most often wrong: {name}, with {fn} false negatives of {tp + fn} and {fp} false positives of {fp + tn}."
