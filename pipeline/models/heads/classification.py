"""Heads that name things: one class of several, yes or no, or any set of labels."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional

from pipeline.config.schema import Metric
from pipeline.config.strict_types import STRICT
from pipeline.models.heads import metrics
from pipeline.models.heads.base import Classes, Head, Scores, Targets
from pipeline.preprocessing import Constants, Names

LONGEST_MEASURED = 200


def class_score(metric: Metric, answers: Tensor, classes: Tensor) -> float:
    """Accuracy or macro F1 of probabilities [N, C] against classes int64 [N].

    Accuracies are divided in float64, so that a count of right answers can be read back from them.
    """
    if metric == "accuracy":
        return float((answers.argmax(dim=1) == classes).double().mean())
    return metrics.f1_of_classes(answers, classes)


def class_scores(answers: Tensor, classes: Tensor) -> Scores:
    """Accuracy, macro F1 and cross-entropy (in nats)."""
    truth = answers.gather(1, classes[:, None]).clamp(min=1e-7)
    return {
        "accuracy": class_score("accuracy", answers, classes),
        "f1_macro": class_score("f1_macro", answers, classes),
        "cross_entropy": float(-truth.log().mean()),
    }


def softmax_gradient(outputs: Tensor, compared: Tensor, out: Tensor) -> None:
    """Of the mean cross-entropy: (softmax - one-hot) / rows.

    Columns beyond the classes become minus infinity, whose share is exactly 0: a whole vector of columns takes an
    eighth of the time.
    """
    classes = compared.shape[-1]
    outputs[..., classes:] = -torch.inf
    torch.softmax(outputs, -1, out=out)
    out[..., :classes].sub_(compared)
    out.div_(outputs.shape[-2])


def sigmoid_gradient(outputs: Tensor, compared: Tensor, out: Tensor) -> None:
    """Of the binary cross-entropies, summed over the outputs, in the mean over the rows: (sigmoid - target) / rows."""
    real = slice(compared.shape[-1])
    for one, written in zip(outputs, out, strict=True):  # each by itself: the end of a tensor rounds differently
        torch.sigmoid(one[:, real], out=written[:, real])
    out[..., real].sub_(compared).div_(outputs.shape[-2])


def measured(labels: Names) -> list[str]:
    """What the scores of labels are called; MLflow takes letters, digits, spaces, dots and dashes, and 250 of them."""
    plain = [re.sub(r"[^\w\- .]|^\.+$", "_", label)[:LONGEST_MEASURED] for label in labels]
    return [f"{name} {place}" if plain.count(name) > 1 else name for place, name in enumerate(plain)]


def certain(codes: Targets, count: int) -> Tensor:
    """[count]: probability 1 for the most frequent code."""
    frequent = int(np.bincount(np.asarray(codes, dtype=np.int64), minlength=count).argmax())
    return functional.one_hot(torch.tensor(frequent), count).float()


@dataclass(frozen=True, config=STRICT)
class SoftmaxHead(Head):
    """Exactly one of C classes: softmax and cross-entropy. Answers: probabilities [N, C]."""

    kind: Literal["softmax"]
    classes: Classes

    @property
    def outputs(self) -> int:
        return len(self.classes)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.classes

    def encode(self, targets: Tensor, constants: Constants) -> Tensor:
        return targets.long()

    def loss(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, encoded)

    def compared(self, encoded: Tensor) -> Tensor:
        return functional.one_hot(encoded, self.outputs).float()

    def gradient(self, outputs: Tensor, compared: Tensor, out: Tensor) -> None:
        softmax_gradient(outputs, compared, out)

    def answer(self, outputs: Tensor, constants: Constants) -> Tensor:
        return outputs.softmax(dim=1)

    def majority(self, targets: Targets, metric: Metric) -> Tensor:
        return certain(targets, len(self.classes))

    def score(self, metric: Metric, answers: Tensor, targets: Tensor, constants: Constants) -> float:
        return class_score(metric, answers, targets.long())

    def report(self, answers: Tensor, targets: Tensor, constants: Constants) -> Scores:
        return class_scores(answers, targets.long())

    def words(self, answer: Tensor) -> str:
        return self.classes[int(answer.argmax())]


@dataclass(frozen=True, config=STRICT)
class SigmoidHead(Head):
    """Yes or no: one sigmoid for the second class, binary cross-entropy. Answers: probabilities [N, 2]."""

    kind: Literal["sigmoid"]
    classes: Annotated[Names, Field(min_length=2, max_length=2)]

    @property
    def outputs(self) -> int:
        return 1

    @property
    def columns(self) -> tuple[str, ...]:
        return self.classes

    def encode(self, targets: Tensor, constants: Constants) -> Tensor:
        return targets.float()

    def loss(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(outputs[:, 0], encoded)

    def compared(self, encoded: Tensor) -> Tensor:
        return encoded[:, None]

    def gradient(self, outputs: Tensor, compared: Tensor, out: Tensor) -> None:
        sigmoid_gradient(outputs, compared, out)

    def answer(self, outputs: Tensor, constants: Constants) -> Tensor:
        return torch.cat([-outputs, outputs], dim=1).sigmoid()

    def majority(self, targets: Targets, metric: Metric) -> Tensor:
        return certain(targets, 2)

    def score(self, metric: Metric, answers: Tensor, targets: Tensor, constants: Constants) -> float:
        return class_score(metric, answers, targets.long())

    def report(self, answers: Tensor, targets: Tensor, constants: Constants) -> Scores:
        return class_scores(answers, targets.long())

    def words(self, answer: Tensor) -> str:
        return self.classes[int(answer.argmax())]


@dataclass(frozen=True, config=STRICT)
class SigmoidsHead(Head):
    """None, one or several of L labels: a sigmoid each, the **sum** of their losses. Answers: probabilities [N, L].

    `accuracy` is the share of rows with every label right; `f1_macro` the mean over the labels of their F1.
    """

    kind: Literal["sigmoids"]
    labels: Classes

    @property
    def outputs(self) -> int:
        return len(self.labels)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.labels

    def encode(self, targets: Tensor, constants: Constants) -> Tensor:
        return targets.float()

    def loss(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        return (
            functional.binary_cross_entropy_with_logits(outputs[:, : self.outputs], encoded, reduction="none")
            .sum(dim=1)
            .mean()
        )

    def compared(self, encoded: Tensor) -> Tensor:
        return encoded

    def gradient(self, outputs: Tensor, compared: Tensor, out: Tensor) -> None:
        sigmoid_gradient(outputs, compared, out)

    def answer(self, outputs: Tensor, constants: Constants) -> Tensor:
        return outputs.sigmoid()

    def majority(self, targets: Targets, metric: Metric) -> Tensor:
        """The set of labels that most rows have; for F1, which true negatives do not raise, all that occur."""
        rows = np.asarray(targets, dtype=np.float32)
        sets, counts = np.unique(rows, axis=0, return_counts=True)
        return torch.from_numpy(rows.max(axis=0) if metric == "f1_macro" else sets[counts.argmax()])

    def score(self, metric: Metric, answers: Tensor, targets: Tensor, constants: Constants) -> float:
        if metric == "accuracy":
            return float(((answers > 0.5) == targets.bool()).all(dim=1).double().mean())
        return metrics.macro_f1_of_labels(answers, targets.long())

    def report(self, answers: Tensor, targets: Tensor, constants: Constants) -> Scores:
        truth = targets.long()
        right, f1 = metrics.accuracy_of_labels(answers, truth), metrics.f1_of_labels(answers, truth)
        scores = {name: self.score(name, answers, targets, constants) for name in ("accuracy", "f1_macro")}
        for index, label in enumerate(measured(self.labels)):
            scores |= {f"accuracy/{label}": float(right[index]), f"f1/{label}": float(f1[index])}
        return scores

    def words(self, answer: Tensor) -> str:
        return " + ".join(label for label, chance in zip(self.labels, answer, strict=True) if chance > 0.5) or "none"
