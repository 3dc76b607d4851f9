"""Finetuning in two phases: the heads on the features of the frozen backbone, then each with the backbone's part.

A head with random weights would send random gradients into the pretrained weights: so it is trained first (linear
probing, then finetuning: Kumar et al. 2022, arXiv:2202.10054).
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from pipeline.models.heads import Head
from pipeline.models.networks import FinetunedNetwork, Network, StateDict, build_network
from pipeline.preprocessing import Inputs
from pipeline.training.engine.autograd_stack import AutogradStack, SingleNetwork
from pipeline.training.engine.fused_stack import FusedDenseStack
from pipeline.training.engine.interface import Member, NetworkStack, Precision

# Prefixes of tensor names in a `FinetunedNetwork`.
DENSE_PREFIX = "dense."
BACKBONE_TAIL_PREFIX = "backbone.tail."


class FinetunedSingleNetwork(SingleNetwork):
    """A trained head with its part of the backbone, which has its own learning rate; its weights are loaded."""

    microbatch_size = 32  # bounds the memory of a backbone's activations

    def build_initial_network(self) -> Network:
        network = build_network(self.inputs.feature_count, self.member.model, self.head.output_count)
        assert isinstance(network, FinetunedNetwork)
        network.backbone.set_scaling(self.member.data.input_constants)
        return network

    def param_groups(self) -> list[dict[str, Any]]:
        network = self.network
        finetune = self.member.training.finetuning
        assert isinstance(network, FinetunedNetwork)
        assert finetune is not None
        # A pretrained part takes smaller steps than a new head (Howard & Ruder 2018, arXiv:1801.06146).
        backbone_group = {"params": list(network.backbone.parameters()), "lr": finetune.backbone_learning_rate}
        return [backbone_group, {"params": list(network.dense.parameters())}]

    @property
    def planned_epochs(self) -> int:
        assert self.member.training.finetuning is not None
        return self.member.training.finetuning.backbone_epochs

    def read_inputs(self, rows: Tensor, augmentation_indices: Tensor | None = None) -> Tensor:
        """Return the inputs of the backbone's part for these rows."""
        assert self.member.data.backbone_activations is not None
        return self.member.data.backbone_activations[rows]


class _FinetuneAutogradStack(AutogradStack):
    """Full networks, whose weights are loaded."""

    single_class = FinetunedSingleNetwork


class FinetuneStack:
    """The folds of one trial: a fused stack of heads for `training.epochs`, then full networks with autograd."""

    def __init__(self, members: Sequence[Member], inputs: Inputs, head: Head, precision: Precision) -> None:
        self.inputs = inputs
        self.head = head
        self.precision = precision
        self.head_epochs = members[0].training.epochs
        self.stack: NetworkStack = FusedDenseStack(members, inputs, head, precision)

    @property
    def members(self) -> Sequence[Member]:
        return self.stack.members

    @property
    def position(self) -> tuple[int, int, int]:
        """Return the position of the stack of the current phase."""
        return self.stack.position

    @position.setter
    def position(self, position: tuple[int, int, int]) -> None:
        self.stack.position = position

    def train_epoch(self, epoch: int, on_step: Callable[[], None] = lambda: None) -> Tensor:
        """Train an epoch; the first one after the heads' epochs starts the second phase."""
        if epoch >= self.head_epochs:
            self._start_finetuning()
        return self.stack.train_epoch(epoch, on_step)

    def _start_finetuning(self) -> None:
        if isinstance(self.stack, FusedDenseStack):
            stack = _FinetuneAutogradStack(self.members, self.inputs, self.head, self.precision)
            for index, single in enumerate(stack.networks):
                single.network.load_state_dict(self.state_dict(index))
            self.stack = stack

    def validate(self) -> list[Tensor]:
        return self.stack.validate()

    def retain(self, indices: Sequence[int]) -> None:
        self.stack.retain(indices)

    def training_state(self, index: int) -> StateDict:
        return self.stack.training_state(index)

    def load_training_state(self, index: int, state: StateDict) -> None:
        """Set a member to a state; one with tensors of the backbone's part starts the second phase."""
        if any(BACKBONE_TAIL_PREFIX in name for name in state):
            self._start_finetuning()
        self.stack.load_training_state(index, state)

    def state_dict(self, index: int) -> StateDict:
        """Return a copy of a member's weights on the CPU; in the first phase the backbone's are the pretrained ones."""
        state = self.stack.state_dict(index)
        if not isinstance(self.stack, FusedDenseStack):
            return state
        activations = self.members[index].data.backbone_activations
        assert activations is not None
        pretrained = {BACKBONE_TAIL_PREFIX + name: value.clone() for name, value in activations.weights.items()}
        return pretrained | {DENSE_PREFIX + name: value for name, value in state.items()}
