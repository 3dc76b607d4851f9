"""Heads that say how much: a number, or the band a number lies in."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import AfterValidator, FailFast, Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional

from pipeline.config.schema import Metric
from pipeline.config.strict_types import STRICT, Real
from pipeline.models.heads.base import Head, Scores, Targets
from pipeline.models.heads.classification import certain, class_score, class_scores, softmax_gradient
from pipeline.models.heads.metrics import errors
from pipeline.preprocessing import Constants, Text


def _rising(edges: tuple[float, ...]) -> tuple[float, ...]:
    if list(edges) != sorted(set(edges)):
        raise ValueError("rising numbers")
    return edges


@dataclass(frozen=True, config=STRICT)
class NumberHead(Head):
    """A number, by mean absolute (l1) or squared (l2) error. Answers: [N, 1], in the target's own unit.

    Training sees targets divided by their spread. With the output `relu` nothing is shifted, so that 0 stays 0 and no
    answer is below it; with `identity` the mean is taken off first.
    """

    kind: Literal["number"]
    output: Literal["relu", "identity"]
    loss_kind: Literal["l1", "l2"]
    unit: Text

    @property
    def outputs(self) -> int:
        return 1

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"prediction ({self.unit})" if self.unit else "prediction",)

    def learn(self, targets: Targets) -> Constants:
        spread = float(np.std(targets)) or 1.0
        shift = float(np.mean(targets)) if self.output == "identity" else 0.0
        return {"target.shift": torch.tensor(shift), "target.scale": torch.tensor(spread)}

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"target.shift": (), "target.scale": ()}

    def first_bias(self, targets: Targets, constants: Constants) -> float | None:
        """The scaled targets' mean: a ReLU output that starts below 0 on every row would never learn."""
        return float(self.encode(torch.tensor(float(np.mean(targets))), constants))

    def encode(self, targets: Tensor, constants: Constants) -> Tensor:
        return (targets - constants["target.shift"]) / constants["target.scale"]

    def loss(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        measure = functional.l1_loss if self.loss_kind == "l1" else functional.mse_loss
        return measure(self._activated(outputs)[:, 0], encoded)

    def compared(self, encoded: Tensor) -> Tensor:
        return encoded[:, None]

    def gradient(self, outputs: Tensor, compared: Tensor, out: Tensor) -> None:
        output, slope = outputs[..., :1], out[..., :1]
        torch.sub(self._activated(output), compared, out=slope)
        if self.loss_kind == "l1":
            slope.sign_()
        else:
            slope.mul_(2)
        slope.div_(outputs.shape[-2])
        if self.output == "relu":
            slope.mul_(output > 0)

    def answer(self, outputs: Tensor, constants: Constants) -> Tensor:
        return self._activated(outputs) * constants["target.scale"] + constants["target.shift"]

    def _activated(self, outputs: Tensor) -> Tensor:
        return outputs.relu() if self.output == "relu" else outputs

    def majority(self, targets: Targets, metric: Metric) -> Tensor:
        """The median: no other constant has a smaller mean absolute error."""
        return torch.tensor([float(np.median(targets))])

    def score(self, metric: Metric, answers: Tensor, targets: Tensor, constants: Constants) -> float:
        return float((answers[:, 0] - targets).abs().mean())

    def report(self, answers: Tensor, targets: Tensor, constants: Constants) -> Scores:
        return errors(answers[:, 0], targets)

    def words(self, answer: Tensor) -> str:
        value = float(answer[0])
        return f"{f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.4g}'} {self.unit}".strip()


@dataclass(frozen=True, config=STRICT)
class BandsHead(Head):
    """The band a number lies in: softmax over the bands between the edges. Answers: probabilities [N, bands].

    A band holds its lower edge. As a number, an answer is the mean of the bands' centres, each weighted with its
    probability; a centre is the mean of the training targets in the band.
    """

    kind: Literal["bands"]
    edges: Annotated[tuple[Real, ...], Field(min_length=1, max_length=1_000), FailFast(), AfterValidator(_rising)]
    unit: Text

    @property
    def outputs(self) -> int:
        return len(self.edges) + 1

    @property
    def columns(self) -> tuple[str, ...]:
        between = [f"{low:g} to {high:g}" for low, high in pairwise(self.edges)]
        names = [f"under {self.edges[0]:g}", *between, f"{self.edges[-1]:g} and over"]
        return tuple(f"{name} {self.unit}".strip() for name in names)

    def learn(self, targets: Targets) -> Constants:
        codes, values = np.digitize(targets, self.edges), np.asarray(targets, dtype=np.float64)
        nearest = [self.edges[0], *(sum(pair) / 2 for pair in pairwise(self.edges)), self.edges[-1]]
        centres = [
            values[codes == band].mean() if (codes == band).any() else nearest[band] for band in range(self.outputs)
        ]
        return {"target.centres": torch.tensor(centres, dtype=torch.float32)}

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"target.centres": (self.outputs,)}

    def encode(self, targets: Tensor, constants: Constants) -> Tensor:
        return torch.bucketize(targets, torch.tensor(self.edges), right=True)

    def loss(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, encoded)

    def compared(self, encoded: Tensor) -> Tensor:
        return functional.one_hot(encoded, self.outputs).float()

    def gradient(self, outputs: Tensor, compared: Tensor, out: Tensor) -> None:
        softmax_gradient(outputs, compared, out)

    def answer(self, outputs: Tensor, constants: Constants) -> Tensor:
        return outputs.softmax(dim=1)

    def majority(self, targets: Targets, metric: Metric) -> Tensor:
        """The most frequent band; as a number the median, or what comes nearest: two bands mixed, or one at an end."""
        if metric != "mean_absolute_error":
            return certain(np.digitize(targets, self.edges), self.outputs)
        centres, median = self.learn(targets)["target.centres"].numpy(), float(np.median(targets))
        return torch.tensor([np.interp(median, centres, band) for band in np.eye(self.outputs)], dtype=torch.float32)

    def score(self, metric: Metric, answers: Tensor, targets: Tensor, constants: Constants) -> float:
        if metric == "mean_absolute_error":
            return float((self.as_numbers(answers, constants) - targets).abs().mean())
        return class_score(metric, answers, self.encode(targets, constants))

    def report(self, answers: Tensor, targets: Tensor, constants: Constants) -> Scores:
        bands = class_scores(answers, self.encode(targets, constants))
        return bands | errors(self.as_numbers(answers, constants), targets)

    def as_numbers(self, answers: Tensor, constants: Constants) -> Tensor:
        """[N], in the target's own unit."""
        return answers @ constants["target.centres"]

    def words(self, answer: Tensor) -> str:
        return self.columns[int(answer.argmax())]
