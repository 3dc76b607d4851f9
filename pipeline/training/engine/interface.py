"""The interface of a stack: networks of one shape (members) that are trained together, and the data of a fold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from pipeline.config.model import Model
from pipeline.config.schema import Training
from pipeline.models.networks import StateDict
from pipeline.preprocessing import Constants
from pipeline.preprocessing.backbone_activations import IndexedActivations
from pipeline.preprocessing.streamed import StreamedImages

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class FoldData:
    """The data of one fold: its rows, and constants fitted on its training rows alone.

    train, validation: int64 row indices, on the device of the inputs; a refit has no validation rows.
    inputs: [N, ...] on the device, as `Inputs.to_device` returns them, or images that are streamed to it.
    targets: [N, ...] on the device, encoded by the head.
    view_count: the number of views of each example, of which training samples one; more than one follow the N rows of
    `inputs`.
    backbone_activations: the inputs of the finetuned part of a backbone, if one is finetuned.
    """

    fold: int
    train: Tensor
    validation: Tensor
    inputs: Tensor | StreamedImages
    input_constants: Constants
    targets: Tensor
    target_constants: Constants
    output_bias: float | None
    view_count: int = 1
    backbone_activations: IndexedActivations | None = None


@dataclass(frozen=True)
class StreamSeeds:
    """Seeds of a trial. study: the order of rows, equal for all trials; trial: weights, dropout and augmentation."""

    study: int
    trial: int


@dataclass(frozen=True)
class Member:
    """One network in a stack: its model, training options, seeds and data."""

    model: Model
    training: Training
    seeds: StreamSeeds
    data: FoldData


class NetworkStack(Protocol):
    """Members that are trained together epoch by epoch; the result of none depends on the others.

    All members have networks of one shape: the same hidden layers, activation, batch size and optimizer.
    """

    @property
    def members(self) -> Sequence[Member]:
        """Return the members in the order in which they were given."""

    position: tuple[int, int, int]  # epoch, block and step; a stack that loads a checkpoint is set to its position

    def train_epoch(self, epoch: int, on_step: Callable[[], None] = ...) -> Tensor:
        """Train every member on each of its training rows once; return their mean training losses, float [members].

        on_step: called after each step. It may save the stack, or raise; the next call continues after that step.
        """

    def validate(self) -> list[Tensor]:
        """Return the predictions of each member for its V validation rows, float [V, columns], on the CPU."""

    def retain(self, indices: Sequence[int]) -> None:
        """Remove all other members; those that remain continue with the same results as before."""

    def training_state(self, index: int) -> StateDict:
        """Return a copy of a member's weights, optimizer state and counts, on the CPU: enough to continue exactly."""

    def load_training_state(self, index: int, state: StateDict) -> None:
        """Set a member to a state that `training_state` returned, in this or another stack."""

    def state_dict(self, index: int) -> StateDict:
        """Return a copy of the weights with which a member predicts, on the CPU."""
