"""The interface of heads: activation, loss, scores and predictions for the outputs of a network."""

from abc import ABC, abstractmethod
from typing import Annotated, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from pipeline.config.heads import HEADS
from pipeline.config.metrics import Metric, PredictionKind
from pipeline.config.schema import Training
from pipeline.data.examples import Examples
from pipeline.preprocessing.base import Constants, UniqueNames
from pipeline.runtime.errors import UserError

ClassNames = Annotated[UniqueNames, Field(min_length=1, max_length=10_000)]
Targets = NDArray[np.int64] | NDArray[np.float32]
Scores = dict[str, float]
Scorable = tuple[Tensor, Tensor]  # predictions and targets of one kind, as the scorers of `Metric` take them


class Head(ABC):
    """Activation, loss, scores and predictions of a kind of target.

    Targets are as in `Examples.targets`; encoded targets are the form that the loss takes. Outputs are those of the
    last layer, float [N, output_count]; predictions are float [N, len(output_names)].
    """

    kind: str

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, examples: Examples) -> Self:
        """Return the head of a configuration of its kind (a `HeadConfig`) for these examples.

        Raises UserError if the head cannot have these targets.
        """

    @property
    def prediction_kinds(self) -> tuple[PredictionKind, ...]:
        """Return the kinds of predictions that metrics can score, the preferred kind first."""
        return HEADS[self.kind].prediction_kinds

    @property
    @abstractmethod
    def output_names(self) -> tuple[str, ...]:
        """Return the names of the columns of the predictions."""

    @property
    def output_count(self) -> int:
        """Return the number of outputs of the last layer; by default one for each column of the predictions."""
        return len(self.output_names)

    def fit(self, targets: Targets) -> Constants:
        """Compute constants from the targets of training rows; none by default."""
        return {}

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each constant of `fit` by name."""
        return {}

    def initial_output_bias(self, targets: Targets, constants: Constants) -> float | None:
        """Return the initial bias of the output layer, or None for that of any layer."""
        return None

    @abstractmethod
    def encode_targets(self, targets: Tensor, constants: Constants) -> Tensor:
        """Encode targets for the loss, one entry per row."""

    @abstractmethod
    def loss(self, outputs: Tensor, encoded_targets: Tensor, training: Training) -> Tensor:
        """Return the training loss of a batch, a mean over its rows; padding columns are as `gradient` left them."""

    def gradient_targets(self, encoded_targets: Tensor, training: Training) -> Tensor:
        """Return the targets of `gradient`, float [N, output_count], from encoded targets."""
        return encoded_targets.reshape(-1, self.output_count)

    @abstractmethod
    def gradient(self, outputs: Tensor, targets: Tensor, out: Tensor) -> None:
        """Write the gradient of the loss by the outputs of stacked batches [batches, N, output_count] into `out`.

        Outputs and `out` may have padding columns; their gradient is 0.
        """

    @abstractmethod
    def to_predictions(self, outputs: Tensor, constants: Constants) -> Tensor:
        """Return predictions, float [N, len(output_names)]: probabilities, or numbers in the unit of the target."""

    @abstractmethod
    def constant_prediction(self, targets: Targets, metric: Metric) -> Tensor:
        """Return the prediction [len(output_names)] that scores best on these targets if every row gets it."""

    @abstractmethod
    def to_scorable(self, kind: PredictionKind, predictions: Tensor, targets: Tensor, constants: Constants) -> Scorable:
        """Return predictions and targets of one of the head's kinds for the scorers of `Metric`."""

    def require_scorable(self, metric: Metric, targets: Targets) -> None:
        """Raise UserError if the metric cannot score predictions of these targets."""
        if metric.requirement is None:
            return
        kind = metric.prediction_kind(self.prediction_kinds)
        predictions = torch.zeros(len(targets), len(self.output_names))
        scorable = self.to_scorable(kind, predictions, torch.tensor(targets), self.fit(targets))
        violation = metric.find_violation(*scorable)
        if violation:
            rule = f"metric={metric.name} {metric.requirement.rule}"
            raise UserError(f"{rule}; got {violation}; use metric={metric.requirement.alternative}")

    def score(self, metric: Metric, predictions: Tensor, targets: Tensor, constants: Constants) -> float:
        """Return the metric of the predictions, which is always finite if they are."""
        kind = metric.prediction_kind(self.prediction_kinds)
        return metric.scorers[kind](*self.to_scorable(kind, predictions, targets, constants))

    @abstractmethod
    def score_all(self, predictions: Tensor, targets: Tensor, constants: Constants) -> Scores:
        """Return every score of this kind of head by name."""

    def format_prediction(self, prediction: Tensor) -> str:
        """Format the prediction of one row, [len(output_names)], as text; by default the name of its largest column."""
        return self.output_names[int(prediction.argmax())]
