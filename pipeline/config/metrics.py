"""The metrics that a search can optimize: one entry each, from which all other packages take every fact."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pipeline.config import scorers

if TYPE_CHECKING:
    from torch import Tensor

PredictionKind = Literal["classes", "labels", "numbers", "bands"]
Direction = Literal["maximize", "minimize"]
Scorer = Callable[["Tensor", "Tensor"], float]
ConstantStatistic = Literal["most frequent", "second class", "frequencies", "median", "mean", "relative median"]


@dataclass(frozen=True)
class Requirement:
    """What predictions and targets must be for a metric.

    rule: text after the metric's name in a message. find_violation: returns what was got instead, "" if nothing is.
    alternative: the name of a metric without this requirement.
    """

    rule: str
    find_violation: Callable[[Tensor, Tensor], str] = field(repr=False)
    alternative: str


@dataclass(frozen=True)
class Metric:
    """A score of predictions against targets, and how it is compared and shown.

    Its best value is 1 if it is maximized, and 0 if it is minimized.
    definition: for people who do not know the title; in_target_unit: whether a value has the unit of the target.
    interval: the method of its 95 % interval on the test set. decimals: None for four significant digits.
    constant: the statistic of the training targets that scores best of all constant predictions.
    scorers: the function for each kind of predictions that the metric can score:
    classes: probabilities [N, C] and int64 [N]; labels: probabilities [N, L] and int64 [N, L]; numbers: [N] and [N];
    bands: as classes, whose order has a meaning.
    """

    name: str
    title: str
    scorers: Mapping[PredictionKind, Scorer] = field(repr=False, hash=False)
    definition: str = ""
    maximize: bool = True
    in_target_unit: bool = False
    interval: Literal["wilson", "bootstrap"] = "bootstrap"
    decimals: int | None = 3
    constant: ConstantStatistic = "most frequent"
    requirement: Requirement | None = None

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

    def find_violation(self, predictions: Tensor, targets: Tensor) -> str:
        """Return what of these predictions and targets the metric cannot score, or ""."""
        return "" if self.requirement is None else self.requirement.find_violation(predictions, targets)

    def prediction_kind(self, kinds: Sequence[PredictionKind]) -> PredictionKind:
        """Return the first of a head's kinds of predictions that this metric scores."""
        return next(kind for kind in kinds if kind in self.scorers)


TWO_CLASSES = Requirement(
    "is for exactly two classes",
    lambda probabilities, _: "" if probabilities.shape[1] == 2 else f"{probabilities.shape[1]}",
    "f1_macro",
)
TARGETS_OTHER_THAN_0 = Requirement(
    "is for targets other than 0",
    lambda _, targets: "a target of 0" if bool((targets == 0).any()) else "",
    "mean_absolute_error",
)
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "accuracy",
            "accuracy",
            {"classes": scorers.multiclass_accuracy, "labels": scorers.subset_accuracy},
            definition="the share of correct predictions",
            interval="wilson",
        ),
        Metric(
            "balanced_accuracy",
            "balanced accuracy",
            {"classes": scorers.balanced_accuracy},
            definition="the unweighted mean over the classes of the share of correct predictions",
        ),
        Metric(
            "f1",
            "F1",
            {"classes": scorers.binary_f1},
            definition="the harmonic mean of precision and recall of the second class",
            constant="second class",
            requirement=TWO_CLASSES,
        ),
        Metric(
            "f1_macro",
            "macro F1",
            {"classes": scorers.multiclass_macro_f1, "labels": scorers.multilabel_macro_f1},
            definition="the unweighted mean of the F1 of each label",
        ),
        Metric(
            "roc_auc",
            "area under the ROC curve",
            {"classes": scorers.multiclass_roc_auc, "labels": scorers.multilabel_roc_auc},
            definition="how often a row of a class is ranked above one of another",
        ),
        Metric(
            "average_precision",
            "average precision",
            {"classes": scorers.multiclass_average_precision, "labels": scorers.multilabel_average_precision},
            definition="the precision averaged over all thresholds",
        ),
        Metric(
            "log_loss",
            "log loss",
            {"classes": scorers.log_loss},
            definition="the mean negative logarithm of the probability of the correct class",
            maximize=False,
            constant="frequencies",
        ),
        Metric(
            "quadratic_kappa",
            "quadratic kappa",
            {"bands": scorers.quadratic_kappa},
            definition="the agreement of bands beyond chance, distances squared",
        ),
        Metric(
            "mean_absolute_error",
            "mean absolute error",
            {"numbers": scorers.mean_absolute_error},
            maximize=False,
            in_target_unit=True,
            decimals=None,
            constant="median",
        ),
        Metric(
            "root_mean_squared_error",
            "root mean squared error",
            {"numbers": scorers.root_mean_squared_error},
            maximize=False,
            in_target_unit=True,
            decimals=None,
            constant="mean",
        ),
        Metric(
            "mean_absolute_percentage_error",
            "mean absolute percentage error",
            {"numbers": scorers.mean_absolute_percentage_error},
            definition="as a share of the target",
            maximize=False,
            constant="relative median",
            requirement=TARGETS_OTHER_THAN_0,
        ),
        Metric(
            "r2",
            "R²",
            {"numbers": scorers.r2},
            definition="the share of the variance that is explained",
            constant="mean",
        ),
    )
}
