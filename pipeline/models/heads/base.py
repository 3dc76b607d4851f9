"""What every head can do; a head gives a meaning to the outputs of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from pipeline.config.schema import MetricName, Training
from pipeline.preprocessing import Constants, UniqueNames

ClassNames = Annotated[UniqueNames, Field(min_length=1, max_length=10_000)]
Targets = NDArray[np.int64] | NDArray[np.float32]
Scores = dict[str, float]


class Head(ABC):
    """Activation, loss, score and answer.

    Everywhere, targets are as in `Examples.targets`; encoded targets are what the loss compares with;
    outputs are float [N, `outputs`], straight from the last layer; answers are what a person gets.
    """

    @property
    @abstractmethod
    def output_count(self) -> int:
        """How many outputs the last layer has."""

    @property
    @abstractmethod
    def output_names(self) -> tuple[str, ...]:
        """What the columns of the answers [N, len(columns)] are called."""

    def fit(self, targets: Targets) -> Constants:
        """Constants learned from the targets of training rows; none by default."""
        return {}

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each constant that `learn` gives."""
        return {}

    def initial_output_bias(self, targets: Targets, constants: Constants) -> float | None:
        """What the output's bias starts at; None: as any other layer's."""
        return None

    @abstractmethod
    def encode_targets(self, targets: Tensor, constants: Constants) -> Tensor:
        """Targets in the form that the loss compares with, one entry a row."""

    @abstractmethod
    def loss(self, outputs: Tensor, encoded_targets: Tensor, training: Training) -> Tensor:
        """The training loss of a batch, a mean over its rows; columns beyond `outputs` are as `gradient` left them."""

    @abstractmethod
    def gradient_targets(self, encoded_targets: Tensor, training: Training) -> Tensor:
        """float [N, outputs]: what `gradient` compares each output with, from encoded targets."""

    @abstractmethod
    def gradient(self, outputs: Tensor, targets: Tensor, out: Tensor) -> None:
        """Writes the loss's derivative by the outputs, for each of many batches: [batches, N, outputs].

        The outputs, and where the derivative is written, may have columns beyond, which then come to 0 there.
        """

    @abstractmethod
    def to_predictions(self, outputs: Tensor, constants: Constants) -> Tensor:
        """float [N, len(columns)]: probabilities, or numbers in the target's own unit."""

    @abstractmethod
    def constant_prediction(self, targets: Targets, metric: MetricName) -> Tensor:
        """[len(columns)]: the best answer that looks at no input, from the targets of training rows."""

    @abstractmethod
    def score(self, metric: MetricName, predictions: Tensor, targets: Tensor, constants: Constants) -> float:
        """One metric of the answers: a share from 0 to 1, or an error in the target's own unit."""

    @abstractmethod
    def score_all(self, predictions: Tensor, targets: Tensor, constants: Constants) -> Scores:
        """Every score of this kind of head, by name."""

    @abstractmethod
    def format_prediction(self, prediction: Tensor) -> str:
        """One row's answer [len(columns)], as a person would say it."""
