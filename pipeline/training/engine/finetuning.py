"""First the heads alone, on what the backbone made of the pictures, and then each with its part of the backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from pipeline.models.heads import Head
from pipeline.models.networks import Network, Tuned, build
from pipeline.preprocessing import Inputs
from pipeline.preprocessing.augmentation import Augmentation
from pipeline.training.engine.autograd_loop import Lone, LoopStack
from pipeline.training.engine.fused_dense import DenseStack
from pipeline.training.engine.interface import Member, Precision, Stack, State

DENSE, TAIL = "dense.", "backbone.tail."  # in the names of a network's numbers


class TunedStack:
    """The members' heads as one fused stack for their epochs, and after those one network after the other.

    All members are of one trial.
    """

    def __init__(self, members: Sequence[Member], inputs: Inputs, head: Head, precision: Precision) -> None:
        self.inputs, self.head, self.precision = inputs, head, precision
        self.alone = members[0].training.epochs
        self.now: Stack = DenseStack(members, inputs, head, precision)

    @property
    def members(self) -> Sequence[Member]:
        """In the order in which they were given."""
        return self.now.members

    @property
    def position(self) -> tuple[int, int, int]:
        """See `Stack`."""
        return self.now.position

    @position.setter
    def position(self, position: tuple[int, int, int]) -> None:
        self.now.position = position

    def train_epoch(self, epoch: int, rest: Callable[[], None] = lambda: None) -> Tensor:
        """See `Stack`; with the first epoch after those of the heads the backbone's part joins them."""
        if epoch >= self.alone:
            self._join()
        return self.now.train_epoch(epoch, rest)

    def _join(self) -> None:
        if isinstance(self.now, DenseStack):
            heads = [self.now.state_dict(index) for index in range(len(self.members))]
            self.now = _Loop(heads, self.members, self.inputs, self.head, self.precision)

    def validate(self) -> list[Tensor]:
        """See `Stack`."""
        return self.now.validate()

    def keep(self, indices: Sequence[int]) -> None:
        """See `Stack`."""
        self.now.keep(indices)

    def member_state(self, index: int) -> State:
        """See `Stack`."""
        return self.now.member_state(index)

    def restore(self, index: int, state: State) -> None:
        """See `Stack`; the backbone's part has joined if the state has numbers of it."""
        if any(TAIL in name for name in state):
            self._join()
        self.now.restore(index, state)

    def state_dict(self, index: int) -> State:
        """A copy of a member's weights, on the CPU; as long as the head is alone, the backbone's are the published."""
        if isinstance(self.now, DenseStack):
            return _whole(self.now.state_dict(index), self.members[index])
        return self.now.state_dict(index)


class _Loop(LoopStack):
    """Networks that begin with heads that have been trained."""

    def __init__(
        self, heads: Sequence[State], members: Sequence[Member], inputs: Inputs, head: Head, precision: Precision
    ) -> None:
        self.heads = heads
        super().__init__(members, inputs, head, precision)

    def one(self, place: int, member: Member, inputs: Inputs, head: Head, precision: Precision) -> Lone:
        """See `LoopStack`."""
        return Joined(member, self.heads[place], inputs, head, precision)


def _whole(head: State, member: Member) -> State:
    """A network's numbers: those of a head, and of the backbone's part as it was published."""
    assert member.data.deep is not None
    published = {TAIL + name: value.clone() for name, value in member.data.deep.weights.items()}
    return published | {DENSE + name: value for name, value in head.items()}


class Joined(Lone):
    """A head that has been trained, and its part of the backbone, which has a learning rate of its own."""

    at_once = 32

    def __init__(self, member: Member, state: State, inputs: Inputs, head: Head, precision: Precision) -> None:
        self.begun_with = _whole(state, member)
        super().__init__(member, inputs, head, precision)

    def first(self) -> Network:
        """See `Lone`."""
        network = build(self.inputs.features, self.member.model, self.head.outputs)
        assert isinstance(network, Tuned)
        network.load_state_dict(self.begun_with)
        network.backbone.scale(self.member.data.input_constants)
        return network

    def groups(self) -> list[dict[str, Any]]:
        """See `Lone`."""
        network, tuning = self.network, self.member.training.tuning
        assert isinstance(network, Tuned)
        assert tuning is not None
        own = {"params": list(network.backbone.parameters()), "lr": tuning.backbone_learning_rate}
        return [own, {"params": list(network.dense.parameters())}]

    def fed(self, rows: Tensor, augmentation: Augmentation | None = None, moves: Tensor | None = None) -> Tensor:
        """What the backbone's part reads of some rows."""
        assert self.member.data.deep is not None
        return self.member.data.deep[rows]
