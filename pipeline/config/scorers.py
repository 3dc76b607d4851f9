"""The functions of the metrics: predictions and targets to a number, as scikit-learn defines it, in float64.

Shapes are those of `Metric.scorers`. Where a score is undefined, such as the area under a curve for rows of one class,
it is that of predictions that tell nothing: such a fold then counts the same for every trial.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MIN_PROBABILITY = 2.0**-23  # scikit-learn's: the resolution of float32, so that no logarithm is infinite
MIN_TARGET = 2.0**-52


def multiclass_accuracy(probabilities: Tensor, classes: Tensor) -> float:
    """Return the share of rows whose most probable class is the correct one."""
    # In float64, so that the number of correct predictions can be recovered from the score.
    return float((probabilities.argmax(dim=1) == classes).double().mean())


def subset_accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """Return the share of rows with every label correct."""
    return float(((probabilities > 0.5) == labels.bool()).all(dim=1).double().mean())


def balanced_accuracy(probabilities: Tensor, classes: Tensor) -> float:
    """Return the mean over the classes that occur of the share of their rows that are found."""
    counts = classes.bincount(minlength=probabilities.shape[1])
    found = classes[probabilities.argmax(dim=1) == classes].bincount(minlength=probabilities.shape[1])
    return float((found[counts > 0].double() / counts[counts > 0]).mean())


def binary_f1(probabilities: Tensor, classes: Tensor) -> float:
    """Return the F1 of the second of two classes; 0 if no row has it."""
    predicted = probabilities.argmax(dim=1) == 1
    actual = classes == 1
    count = int(predicted.sum() + actual.sum())
    return 2 * int((predicted & actual).sum()) / count if count else 0.0


def multiclass_macro_f1(probabilities: Tensor, classes: Tensor) -> float:
    """Return the mean over the classes of their F1."""
    from torchmetrics.functional.classification import multiclass_f1_score

    n_classes = probabilities.shape[1]
    return float(multiclass_f1_score(probabilities, classes, n_classes, average="macro", validate_args=False))


def multilabel_macro_f1(probabilities: Tensor, labels: Tensor) -> float:
    """Return the mean over the labels of their F1."""
    from torchmetrics.functional.classification import multilabel_f1_score

    return float(multilabel_f1_score(probabilities, labels, probabilities.shape[1], validate_args=False))


def log_loss(probabilities: Tensor, classes: Tensor) -> float:
    """Return the mean negative logarithm of the probability of the correct class, in nats."""
    correct = probabilities.gather(1, classes[:, None]).double()
    return float(-correct.clamp(min=MIN_PROBABILITY).log().mean())


def multiclass_roc_auc(probabilities: Tensor, classes: Tensor) -> float:
    """Return the area under the ROC curve of the second of two classes, or the mean of each class against the rest."""
    return multilabel_roc_auc(*_split_classes(probabilities, classes))


def multilabel_roc_auc(probabilities: Tensor, labels: Tensor) -> float:
    """Return the mean area under the ROC curve over the labels that differ between rows; 0.5 if none does."""
    return _mean_over_columns(_roc_auc, probabilities, labels.bool(), undefined=0.5)


def multiclass_average_precision(probabilities: Tensor, classes: Tensor) -> float:
    """Return the average precision of the second of two classes, or the mean of each class against the rest."""
    return multilabel_average_precision(*_split_classes(probabilities, classes))


def multilabel_average_precision(probabilities: Tensor, labels: Tensor) -> float:
    """Return the mean average precision over the labels that differ between rows.

    If none does, it is the share of rows that have them: what predictions that tell nothing reach.
    """
    return _mean_over_columns(_average_precision, probabilities, labels.bool(), undefined=float(labels.double().mean()))


def _split_classes(probabilities: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities, and whether the row has the class, of each class; of two classes the second one alone."""
    positives = (classes[:, None] == classes.new_tensor(range(probabilities.shape[1]))).long()
    return (probabilities[:, 1:], positives[:, 1:]) if probabilities.shape[1] == 2 else (probabilities, positives)


def _mean_over_columns(
    score: Callable[[Tensor, Tensor], float], probabilities: Tensor, positives: Tensor, undefined: float
) -> float:
    pairs = zip(probabilities.T, positives.T, strict=True)
    scores = [score(column, positive) for column, positive in pairs if positive.any() and not positive.all()]
    return sum(scores) / len(scores) if scores else undefined


def _group_equal(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each probability the index of its value, in ascending order, and the number of rows of each value."""
    from torch import unique  # here: what only reads a configuration starts without torch

    _, inverse, counts = unique(probabilities, return_inverse=True, return_counts=True)
    return inverse, counts


def _roc_auc(probabilities: Tensor, positives: Tensor) -> float:
    """Return the share of pairs of a positive and another row that are ranked correctly, ties by half.

    It is the area (Hanley & McNeil 1982, Radiology 143, 29), computed from mean ranks as the U of Mann and Whitney.
    """
    inverse, counts = _group_equal(probabilities)
    mean_ranks = counts.cumsum(0).double() - (counts.double() - 1) / 2
    n_positive = int(positives.sum())
    rank_sum = float(mean_ranks[inverse[positives]].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * (len(positives) - n_positive))


def _average_precision(probabilities: Tensor, positives: Tensor) -> float:
    """Return the sum over thresholds of the precision, weighted by the increase in recall."""
    inverse, counts = _group_equal(probabilities)
    found = inverse[positives].bincount(minlength=len(counts)).flip(0).double()
    precision = found.cumsum(0) / counts.flip(0).cumsum(0)
    return float((found * precision).sum() / positives.sum())


def quadratic_kappa(probabilities: Tensor, bands: Tensor) -> float:
    """Return 1 - the mean squared distance of bands, over its expectation for independent predictions.

    Cohen 1968, Psychological Bulletin 70, 213. The expectation is that of the square of a difference of independent
    numbers, the sum of both variances and of the squared difference of the means. 0 if there is only one band.
    """
    predicted = probabilities.argmax(dim=1).double()
    actual = bands.double()
    expected = predicted.var(correction=0) + actual.var(correction=0) + (predicted.mean() - actual.mean()) ** 2
    return float(1 - (predicted - actual).square().mean() / expected) if expected > 0 else 0.0


def mean_absolute_error(predicted: Tensor, targets: Tensor) -> float:
    """Return the mean absolute error."""
    return float((predicted - targets).abs().mean())


def root_mean_squared_error(predicted: Tensor, targets: Tensor) -> float:
    """Return the root of the mean squared error."""
    return float((predicted.double() - targets.double()).square().mean().sqrt())


def mean_absolute_percentage_error(predicted: Tensor, targets: Tensor) -> float:
    """Return the mean absolute error as a share of the target."""
    actual = targets.double()
    return float(((predicted.double() - actual).abs() / actual.abs().clamp(min=MIN_TARGET)).mean())


def r2(predicted: Tensor, targets: Tensor) -> float:
    """Return the share of the targets' variance that is explained; of equal targets 1 if all are met, else 0."""
    actual = targets.double()
    residual = (predicted.double() - actual).square().sum()
    if bool((actual == actual[0]).all()):
        return float(residual == 0)
    return float(1 - residual / (actual - actual.mean()).square().sum())
