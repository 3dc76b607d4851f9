"""Classification heads: one of several classes, one of two, or any set of labels."""

import re
from typing import Annotated, Literal, Self

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional

from pipeline.config.heads import SigmoidConfig, SigmoidsConfig, SoftmaxConfig
from pipeline.config.metrics import Metric, PredictionKind
from pipeline.config.schema import Training
from pipeline.config.strict_types import STRICT_CONFIG
from pipeline.data.examples import Examples
from pipeline.models.heads.base import ClassNames, Head, Scorable, Scores, Targets
from pipeline.models.heads.class_weights import CLASS_WEIGHTS, compute_balanced_weights
from pipeline.models.heads.metrics import score_each_label, score_kind
from pipeline.models.heads.outputs import Balance, SigmoidOutputs, SoftmaxOutputs
from pipeline.preprocessing.base import Constants, UniqueNames
from pipeline.runtime.errors import UserError
from pipeline.runtime.text import join_names

MAX_METRIC_LABEL_CHARS = 200


def score_all_classes(probabilities: Tensor, classes: Tensor) -> Scores:
    """Return every metric of classes and the cross-entropy in nats; probabilities [N, C], classes int64 [N]."""
    class_probabilities = probabilities.gather(1, classes[:, None]).clamp(min=1e-7)
    scores = score_kind("classes", probabilities, classes)
    return scores | {"cross_entropy": float(-class_probabilities.log().mean())}


def constant_probabilities(codes: Targets, class_count: int, metric: Metric) -> Tensor:
    """Return the [class_count] probabilities that score best on these codes if every row gets them.

    No constant has a smaller mean log loss than the frequencies (Gibbs' inequality). The F1 of the second class is 0
    unless it is predicted. For areas under curves, balanced accuracy and kappa all constants are the same.
    """
    counts = np.bincount(np.asarray(codes, dtype=np.int64), minlength=class_count)
    if metric.constant == "frequencies":
        return torch.tensor(counts / len(codes), dtype=torch.float32)
    best = 1 if metric.constant == "second class" else int(counts.argmax())
    return functional.one_hot(torch.tensor(best), class_count).float()


class ClassProbabilities(Head):
    """Predictions that are probabilities of named classes, float [N, C]."""

    classes: UniqueNames

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.classes

    def constant_prediction(self, targets: Targets, metric: Metric) -> Tensor:
        return constant_probabilities(targets, len(self.classes), metric)

    def to_scorable(self, kind: PredictionKind, predictions: Tensor, targets: Tensor, constants: Constants) -> Scorable:
        return predictions, targets.long()

    def score_all(self, predictions: Tensor, targets: Tensor, constants: Constants) -> Scores:
        return score_all_classes(predictions, targets.long())


@dataclass(frozen=True, config=STRICT_CONFIG)
class SoftmaxHead(SoftmaxOutputs, ClassProbabilities):
    """Exactly one of C classes: softmax and cross-entropy. Predictions: probabilities [N, C]."""

    kind: Literal["softmax"]
    classes: ClassNames
    balance: Balance = False

    @classmethod
    def from_config(cls, config: SoftmaxConfig, examples: Examples) -> Self:
        return cls("softmax", examples.classes, config.balance)

    def fit(self, targets: Targets) -> Constants:
        return self.fit_classes(targets)

    def encode_targets(self, targets: Tensor, constants: Constants) -> Tensor:
        return self.encode_classes(targets.long(), constants)


@dataclass(frozen=True, config=STRICT_CONFIG)
class SigmoidHead(SigmoidOutputs, ClassProbabilities):
    """One of two classes: one sigmoid for the second class, binary cross-entropy. Predictions: probabilities [N, 2]."""

    kind: Literal["sigmoid"]
    classes: Annotated[UniqueNames, Field(min_length=2, max_length=2)]
    balance: Balance = False

    @classmethod
    def from_config(cls, config: SigmoidConfig, examples: Examples) -> Self:
        classes = examples.classes
        if len(classes) != 2:
            got = f"{len(classes)}: {join_names(classes)}"
            raise UserError(f"head=sigmoid is for exactly two classes; got {got}; use head=softmax")
        return cls("sigmoid", classes, config.balance)

    @property
    def output_count(self) -> int:
        return 1

    def fit(self, targets: Targets) -> Constants:
        return {CLASS_WEIGHTS: compute_balanced_weights(targets, 2)} if self.balance else {}

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        return {CLASS_WEIGHTS: (2,)} if self.balance else {}

    def loss(self, outputs: Tensor, encoded_targets: Tensor, training: Training) -> Tensor:
        return self.losses(outputs[:, 0], encoded_targets).mean()

    def to_predictions(self, outputs: Tensor, constants: Constants) -> Tensor:
        return torch.cat([-outputs, outputs], dim=1).sigmoid()


@dataclass(frozen=True, config=STRICT_CONFIG)
class SigmoidsHead(SigmoidOutputs):
    """Any set of L labels: a sigmoid each, the sum of their losses. Predictions: probabilities [N, L].

    `accuracy` is the share of rows with every label correct; `f1_macro` the mean over labels of their F1.
    """

    kind: Literal["sigmoids"]
    labels: ClassNames
    balance: Balance = False

    @classmethod
    def from_config(cls, config: SigmoidsConfig, examples: Examples) -> Self:
        return cls("sigmoids", examples.classes, config.balance)

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.labels

    def fit(self, targets: Targets) -> Constants:
        if not self.balance:
            return {}
        return {CLASS_WEIGHTS: torch.stack([compute_balanced_weights(label, 2) for label in np.asarray(targets).T])}

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        return {CLASS_WEIGHTS: (len(self.labels), 2)} if self.balance else {}

    def loss(self, outputs: Tensor, encoded_targets: Tensor, training: Training) -> Tensor:
        return self.losses(outputs[:, : self.output_count], encoded_targets).sum(dim=1).mean()

    def to_predictions(self, outputs: Tensor, constants: Constants) -> Tensor:
        return outputs.sigmoid()

    def constant_prediction(self, targets: Targets, metric: Metric) -> Tensor:
        """Return the most frequent set of labels or, where it scores better (F1), the set of all that occur."""
        label_rows = np.asarray(targets, dtype=np.float32)
        label_sets, counts = np.unique(label_rows, axis=0, return_counts=True)
        most_frequent = torch.from_numpy(label_sets[counts.argmax()])
        all_labels = torch.from_numpy(label_rows.max(axis=0))
        label_targets = torch.from_numpy(label_rows)
        candidates = (all_labels, most_frequent)
        scores = [self.score(metric, each.expand_as(label_targets), label_targets, {}) for each in candidates]
        return all_labels if metric.is_better(*scores) else most_frequent

    def to_scorable(self, kind: PredictionKind, predictions: Tensor, targets: Tensor, constants: Constants) -> Scorable:
        return predictions, targets.long()

    def score_all(self, predictions: Tensor, targets: Tensor, constants: Constants) -> Scores:
        accuracies, f1_scores = score_each_label(predictions, targets.long())
        scores = score_kind("labels", predictions, targets.long())
        for index, label in enumerate(to_metric_names(self.labels)):
            scores |= {f"accuracy/{label}": float(accuracies[index]), f"f1/{label}": float(f1_scores[index])}
        return scores

    def format_prediction(self, prediction: Tensor) -> str:
        labels = [label for label, probability in zip(self.labels, prediction, strict=True) if probability > 0.5]
        return " + ".join(labels) or "none"


def to_metric_names(labels: UniqueNames) -> list[str]:
    """Return labels as MLflow accepts them in metric names: letters, digits, spaces, dots, dashes; at most 250."""
    safe_names = [re.sub(r"[^\w\- .]|^\.+$", "_", label)[:MAX_METRIC_LABEL_CHARS] for label in labels]
    return [f"{name} {index}" if safe_names.count(name) > 1 else name for index, name in enumerate(safe_names)]
