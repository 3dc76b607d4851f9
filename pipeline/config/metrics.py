"""The metrics that a search can optimize: one entry each, from which all other packages take every fact."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

PredictionKind = Literal["classes", "labels", "numbers"]
Direction = Literal["maximize", "minimize"]
Scorer = Callable[["Tensor", "Tensor"], float]


@dataclass(frozen=True)
class Metric:
    """A score of predictions against targets, and how it is compared and shown.

    Its best value is 1 if it is maximized, and 0 if it is minimized.
    definition: for people who do not know the title; in_target_unit: whether a value has the unit of the target.
    interval: the method of its 95 % interval on the test set. decimals: None for four significant digits.
    scorers: the function for each kind of predictions that the metric can score:
    classes: probabilities [N, C] and int64 [N]; labels: probabilities [N, L] and int64 [N, L]; numbers: [N] and [N].
    """

    name: str
    title: str
    scorers: Mapping[PredictionKind, Scorer] = field(repr=False, hash=False)
    definition: str = ""
    maximize: bool = True
    in_target_unit: bool = False
    interval: Literal["wilson", "bootstrap"] = "bootstrap"
    decimals: int | None = 3

    @property
    def direction(self) -> Direction:
        """Return the direction of optimization in Optuna's words."""
        return "maximize" if self.maximize else "minimize"

    @property
    def perfect_value(self) -> float:
        """Return the value of perfect predictions."""
        return 1.0 if self.maximize else 0.0

    def describe(self, unit: str = "") -> str:
        """Return title, definition, unit and direction in one line."""
        title = f"{self.title}, {self.definition}" if self.definition else self.title
        suffix = f" in {unit}" if unit and self.in_target_unit else ""
        return f"{title}{suffix} ({'higher' if self.maximize else 'lower'} is better)"

    def format(self, value: float) -> str:
        """Return a value rounded for a table, or "-" if it is not finite."""
        if not math.isfinite(value):
            return "-"
        if self.decimals is not None:
            return f"{value:.{self.decimals}f}"
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"

    def improvement(self, value: float, than: float) -> float:
        """Return by how much a value is better than another; negative if it is worse."""
        return value - than if self.maximize else than - value

    def is_better(self, value: float, than: float) -> bool:
        """Return whether a value is strictly better; NaN never is, and any finite value is better than NaN."""
        return math.isfinite(value) and (math.isnan(than) or self.improvement(value, than) > 0)

    def prediction_kind(self, kinds: Sequence[PredictionKind]) -> PredictionKind:
        """Return the first of a head's kinds of predictions that this metric scores."""
        return next(kind for kind in kinds if kind in self.scorers)


def _multiclass_accuracy(probabilities: Tensor, classes: Tensor) -> float:
    # In float64, so that the number of correct predictions can be recovered from the score.
    return float((probabilities.argmax(dim=1) == classes).double().mean())


def _subset_accuracy(probabilities: Tensor, labels: Tensor) -> float:
    return float(((probabilities > 0.5) == labels.bool()).all(dim=1).double().mean())


def _multiclass_macro_f1(probabilities: Tensor, classes: Tensor) -> float:
    from torchmetrics.functional.classification import multiclass_f1_score

    n_classes = probabilities.shape[1]
    return float(multiclass_f1_score(probabilities, classes, n_classes, average="macro", validate_args=False))


def _multilabel_macro_f1(probabilities: Tensor, labels: Tensor) -> float:
    from torchmetrics.functional.classification import multilabel_f1_score

    return float(multilabel_f1_score(probabilities, labels, probabilities.shape[1], validate_args=False))


def _mean_absolute_error(predicted: Tensor, targets: Tensor) -> float:
    return float((predicted - targets).abs().mean())


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "accuracy",
            "accuracy",
            {"classes": _multiclass_accuracy, "labels": _subset_accuracy},
            definition="the share of correct predictions",
            interval="wilson",
        ),
        Metric(
            "f1_macro",
            "macro F1",
            {"classes": _multiclass_macro_f1, "labels": _multilabel_macro_f1},
            definition="the unweighted mean of the F1 of each label",
        ),
        Metric(
            "mean_absolute_error",
            "mean absolute error",
            {"numbers": _mean_absolute_error},
            maximize=False,
            in_target_unit=True,
            decimals=None,
        ),
    )
}
