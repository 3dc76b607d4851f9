"""Regression heads: a number, or the band that contains it."""

from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
import torch
from pydantic import AfterValidator, FailFast, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from pipeline.config.heads import BandsConfig, LossName, NumberConfig, TransformName
from pipeline.config.metrics import Metric, PredictionKind
from pipeline.config.schema import Training
from pipeline.config.strict_types import STRICT_CONFIG, FiniteFloat
from pipeline.data.examples import Examples
from pipeline.models.heads.base import Head, Scorable, Scores, Targets
from pipeline.models.heads.classification import constant_probabilities, score_all_classes
from pipeline.models.heads.metrics import score_kind
from pipeline.models.heads.number_losses import errors_to_derivatives, mean_loss
from pipeline.models.heads.outputs import Balance, SoftmaxOutputs
from pipeline.models.heads.target_transforms import TRANSFORMS, fit_bounds, require_transformable
from pipeline.preprocessing.base import Constants, ShortText
from pipeline.runtime.errors import UserError


def constant_number(targets: Targets, metric: Metric) -> float:
    """Return the number that scores best on these targets if every row gets it.

    The median has the least mean absolute error, the mean the least squared one. For errors divided by the target it is
    the median of the targets weighted by their inverse (Gneiting 2011, J. Am. Stat. Assoc. 106, 746).
    """
    match metric.constant:
        case "mean":
            return float(np.mean(targets, dtype=np.float64))
        case "relative median":
            ordered = np.sort(targets)
            shares = np.cumsum(1 / np.abs(ordered, dtype=np.float64))
            return float(ordered[np.searchsorted(shares, shares[-1] / 2)])
    return float(np.median(targets))


def _check_increasing(edges: tuple[float, ...]) -> tuple[float, ...]:
    if list(edges) != sorted(set(edges)):
        raise ValueError("edges must increase")
    return edges


@dataclass(frozen=True, config=STRICT_CONFIG)
class NumberHead(Head):
    """A number, by a loss of `number_losses`. Predictions: [N, 1], in the unit of the target.

    Encoded targets are divided by their standard deviation. With the output `identity` their mean is subtracted first;
    with `relu` it is not, so that 0 stays 0 and no prediction is negative. With a transform, mean and standard
    deviation are those of the transformed targets, and the output needs no ReLU: the inverse is never negative.
    """

    kind: Literal["number"]
    output: Literal["relu", "identity"]
    loss_kind: LossName
    unit: ShortText
    transform: Annotated[TransformName, Field(exclude_if=lambda name: name == "none")] = "none"
    quantile: Annotated[FiniteFloat, Field(gt=0, lt=1, exclude_if=lambda share: share == 0.5)] = 0.5

    @classmethod
    def from_config(cls, config: NumberConfig, examples: Examples) -> Self:
        min_target = float(examples.targets.min())
        require_transformable(config.transform, min_target)
        if config.output == "relu" and min_target < 0:
            rule = "head.output=relu never predicts below 0"
            raise UserError(f"{rule}; got a target of {min_target:g}; use head.output=identity")
        return cls("number", config.output, config.loss, config.unit, config.transform, config.quantile)

    @property
    def output_names(self) -> tuple[str, ...]:
        return (f"prediction ({self.unit})" if self.unit else "prediction",)

    @property
    def is_rectified(self) -> bool:
        """Return whether the output is a ReLU."""
        return self.output == "relu" and self.transform == "none"

    def fit(self, targets: Targets) -> Constants:
        values = self._transform(torch.tensor(targets))
        std = float(np.std(values.numpy())) or 1.0
        shift = 0.0 if self.is_rectified else float(np.mean(values.numpy()))
        constants = {"target.shift": torch.tensor(shift), "target.scale": torch.tensor(std)}
        return constants | fit_bounds(self.transform, self._standardize(values, constants), constants)

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        bounds = ("target.low", "target.high") if self.transform != "none" else ()
        return dict.fromkeys(("target.shift", "target.scale", *bounds), ())

    def initial_output_bias(self, targets: Targets, constants: Constants) -> float | None:
        """Return the mean encoded target: a ReLU output that is negative on every row has no gradient."""
        mean = float(np.mean(self._transform(torch.tensor(targets)).numpy()))
        return float(self._standardize(torch.tensor(mean), constants))

    def encode_targets(self, targets: Tensor, constants: Constants) -> Tensor:
        return self._standardize(self._transform(targets), constants)

    def _transform(self, targets: Tensor) -> Tensor:
        return targets if self.transform == "none" else TRANSFORMS[self.transform].function(targets)

    def _standardize(self, values: Tensor, constants: Constants) -> Tensor:
        return (values - constants["target.shift"]) / constants["target.scale"]

    def loss(self, outputs: Tensor, encoded_targets: Tensor, training: Training) -> Tensor:
        return mean_loss(self.loss_kind, self._activate(outputs)[:, 0], encoded_targets, self.quantile)

    def gradient(self, outputs: Tensor, targets: Tensor, out: Tensor) -> None:
        output = outputs[..., :1]
        derivative = out[..., :1]
        torch.sub(self._activate(output), targets, out=derivative)
        errors_to_derivatives(self.loss_kind, derivative, self.quantile)
        derivative.div_(outputs.shape[-2])
        if self.is_rectified:
            derivative.mul_(output > 0)

    def to_predictions(self, outputs: Tensor, constants: Constants) -> Tensor:
        if self.transform == "none":
            return self._activate(outputs) * constants["target.scale"] + constants["target.shift"]
        bounded = outputs.clamp(constants["target.low"], constants["target.high"])
        return TRANSFORMS[self.transform].inverse(bounded * constants["target.scale"] + constants["target.shift"])

    def _activate(self, outputs: Tensor) -> Tensor:
        return outputs.relu() if self.is_rectified else outputs

    def constant_prediction(self, targets: Targets, metric: Metric) -> Tensor:
        return torch.tensor([constant_number(targets, metric)])

    def to_scorable(self, kind: PredictionKind, predictions: Tensor, targets: Tensor, constants: Constants) -> Scorable:
        return predictions[:, 0], targets

    def score_all(self, predictions: Tensor, targets: Tensor, constants: Constants) -> Scores:
        return score_kind("numbers", predictions[:, 0], targets)

    def format_prediction(self, prediction: Tensor) -> str:
        value = float(prediction[0])
        return f"{f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.4g}'} {self.unit}".strip()


@dataclass(frozen=True, config=STRICT_CONFIG)
class BandsHead(SoftmaxOutputs):
    """The band that contains a number: softmax over bands between edges. Predictions: probabilities [N, bands].

    A band includes its lower edge. As a number, a prediction is the mean of the bands' centers, weighted by their
    probabilities; a center is the mean of the training targets in the band.
    """

    kind: Literal["bands"]
    edges: Annotated[
        tuple[FiniteFloat, ...], Field(min_length=1, max_length=1_000), FailFast(), AfterValidator(_check_increasing)
    ]
    unit: ShortText
    balance: Balance = False

    @classmethod
    def from_config(cls, config: BandsConfig, examples: Examples) -> Self:
        return cls("bands", config.edges, config.unit, config.balance)

    @property
    def output_count(self) -> int:
        return len(self.edges) + 1

    @property
    def output_names(self) -> tuple[str, ...]:
        inner_bands = [f"{low:g} to {high:g}" for low, high in pairwise(self.edges)]
        names = [f"under {self.edges[0]:g}", *inner_bands, f"{self.edges[-1]:g} and over"]
        return tuple(f"{name} {self.unit}".strip() for name in names)

    def fit(self, targets: Targets) -> Constants:
        codes = np.digitize(targets, self.edges)
        values = np.asarray(targets, dtype=np.float64)
        # The center of a band without training targets is the middle of its edges, or its only edge.
        centers = [self.edges[0], *(sum(pair) / 2 for pair in pairwise(self.edges)), self.edges[-1]]
        for band in np.unique(codes):
            centers[band] = values[codes == band].mean()
        return {"target.centres": torch.tensor(centers, dtype=torch.float32)} | self.fit_classes(codes)

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"target.centres": (self.output_count,)} | super().constant_shapes()

    def encode_targets(self, targets: Tensor, constants: Constants) -> Tensor:
        return self.encode_classes(self.find_bands(targets), constants)

    def find_bands(self, targets: Tensor) -> Tensor:
        """Return the index of the band of each number, int64 [N]."""
        return torch.bucketize(targets, torch.tensor(self.edges), right=True)

    def constant_prediction(self, targets: Targets, metric: Metric) -> Tensor:
        """Return the best bands or, for a metric of numbers, the two bands with the mean nearest the best number."""
        if metric.prediction_kind(self.prediction_kinds) != "numbers":
            return constant_probabilities(np.digitize(targets, self.edges), self.output_count, metric)
        centers = self.fit(targets)["target.centres"].numpy()
        best = constant_number(targets, metric)
        shares = [np.interp(best, centers, band) for band in np.eye(self.output_count)]
        return torch.tensor(shares, dtype=torch.float32)

    def to_scorable(self, kind: PredictionKind, predictions: Tensor, targets: Tensor, constants: Constants) -> Scorable:
        if kind == "numbers":
            return self.to_expected_values(predictions, constants), targets
        return predictions, self.find_bands(targets)

    def score_all(self, predictions: Tensor, targets: Tensor, constants: Constants) -> Scores:
        bands = self.find_bands(targets)
        scores = score_all_classes(predictions, bands) | score_kind("bands", predictions, bands)
        return scores | score_kind("numbers", self.to_expected_values(predictions, constants), targets)

    def to_expected_values(self, predictions: Tensor, constants: Constants) -> Tensor:
        """Return expected values [N] in the unit of the target."""
        return predictions @ constants["target.centres"]
