"""What every kind of stack has: members, and what it can be asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from pipeline.config.model import Model
from pipeline.config.schema import Training
from pipeline.preprocessing import Constants
from pipeline.preprocessing.backbone_activations import IndexedActivations
from pipeline.preprocessing.streamed import StreamedImages

StateDict = dict[str, Tensor]
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class FoldData:
    """What one fold trains on: its rows, and what was learned from its training rows alone.

    inputs: [N, ...] on the device, as `Inputs.resident` gives it, or pictures that are streamed to it.
    targets: [N, ...] on the device, encoded by the head.
    views: of how many views of each example one is drawn in training; with several, they follow the N in `inputs`.
    deep: where a part of the backbone is trained along, what that part reads of each example.
    train, validation: int64 row numbers, on the device where the inputs are; a refit validates nothing.
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
    """study: draws the order of rows, equal for all trials; trial: draws weights, dropout and augmentation."""

    study: int
    trial: int


@dataclass(frozen=True)
class Member:
    """One network to be trained: what it is, how it is trained, where its chance comes from, and on what."""

    model: Model
    training: Training
    seeds: StreamSeeds
    data: FoldData


class NetworkStack(Protocol):
    """Members advancing epoch by epoch together; no number of one depends on another.

    All members have networks of one shape: the same hidden layers, activation, batch size and optimiser.
    """

    @property
    def members(self) -> Sequence[Member]:
        """In the order in which they were given."""

    position: tuple[int, int, int]  # the epoch, and where in it the stack is; another stack may be brought there

    def train_epoch(self, epoch: int, on_step: Callable[[], None] = ...) -> Tensor:
        """Every member sees each of its training rows once; float [members], the mean training loss of each.

        rest: called after each step, where the stack may be saved, or left by raising; called again, it goes on there.
        """

    def validate(self) -> list[Tensor]:
        """For each member its answers on its validation rows, float [V, columns], on the CPU."""

    def retain(self, indices: Sequence[int]) -> None:
        """The other members leave; those that stay go on as if nothing had been."""

    def training_state(self, index: int) -> StateDict:
        """A copy of all that a member is in the middle of its training, on the CPU; more than its weights."""

    def load_training_state(self, index: int, state: StateDict) -> None:
        """Makes a member what `member_state` has kept; also in another stack."""

    def state_dict(self, index: int) -> StateDict:
        """A copy of a member's weights, on the CPU."""
