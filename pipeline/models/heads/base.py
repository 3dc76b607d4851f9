"""What every head can do; a head gives a meaning to the outputs of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from pipeline.config.schema import Metric
from pipeline.preprocessing import Constants, Names

Classes = Annotated[Names, Field(min_length=1, max_length=10_000)]
Targets = NDArray[np.int64] | NDArray[np.float32]
Scores = dict[str, float]


class Head(ABC):
    """Activation, loss, score and answer.

    Everywhere, targets are as in `Examples.targets`; encoded targets are what the loss compares with;
    outputs are float [N, `outputs`], straight from the last layer; answers are what a person gets.
    """

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many outputs the last layer has."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """What the columns of the answers [N, len(columns)] are called."""

    def learn(self, targets: Targets) -> Constants:
        """Constants learned from the targets of training rows; none by default."""
        return {}

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each constant that `learn` gives."""
        return {}

    def first_bias(self, targets: Targets, constants: Constants) -> float | None:
        """What the output's bias starts at; None: as any other layer's."""
        return None

    @abstractmethod
    def encode(self, targets: Tensor, constants: Constants) -> Tensor:
        """Targets in the form that the loss compares with, one entry a row."""

    @abstractmethod
    def loss(self, outputs: Tensor, encoded: Tensor) -> Tensor:
        """The training loss of a batch, a mean over its rows; columns beyond `outputs` are as `gradient` left them."""

    @abstractmethod
    def compared(self, encoded: Tensor) -> Tensor:
        """float [N, outputs]: what `gradient` compares each output with, from encoded targets."""

    @abstractmethod
    def gradient(self, outputs: Tensor, compared: Tensor, out: Tensor) -> None:
        """Writes the loss's derivative by the outputs, for each of many batches: [batches, N, outputs].

        The outputs, and where the derivative is written, may have columns beyond, which then come to 0 there.
        """

    @abstractmethod
    def answer(self, outputs: Tensor, constants: Constants) -> Tensor:
        """float [N, len(columns)]: probabilities, or numbers in the target's own unit."""

    @abstractmethod
    def majority(self, targets: Targets, metric: Metric) -> Tensor:
        """[len(columns)]: the best answer that looks at no input, from the targets of training rows."""

    @abstractmethod
    def score(self, metric: Metric, answers: Tensor, targets: Tensor, constants: Constants) -> float:
        """One metric of the answers: a share from 0 to 1, or an error in the target's own unit."""

    @abstractmethod
    def report(self, answers: Tensor, targets: Tensor, constants: Constants) -> Scores:
        """Every score of this kind of head, by name."""

    @abstractmethod
    def words(self, answer: Tensor) -> str:
        """One row's answer [len(columns)], as a person would say it."""
