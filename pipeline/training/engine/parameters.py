"""The numbers of a stack: its networks' parameters, their gradients, and AdamW's two running means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

FLOATS_PER_VECTOR = 16  # float32 numbers in the widest vector of a processor


def round_up_to_vector(count: int) -> int:
    """The next whole number of vectors.

    Rows and nodes are filled up to it with zeros, which stay exactly 0. So every matrix of every slot begins at an
    aligned address and ends with a whole vector: elsewhere the products and the optimiser round a slot by its place.
    """
    return -(-count // FLOATS_PER_VECTOR) * FLOATS_PER_VECTOR


class StackedTensors:
    """A number for each parameter of each slot: its value, its gradient, or one of AdamW's running means.

    weights: a tensor [slots, nodes, inputs] a layer; biases: [slots, nodes] a layer; nodes are filled up.
    """

    def __init__(self, slots: int, features: int, widths: Sequence[int], device: torch.device) -> None:
        sizes = [features, *map(round_up_to_vector, widths)]
        self.weights = [torch.zeros(slots, nodes, inputs, device=device) for inputs, nodes in pairwise(sizes)]
        self.biases = [torch.zeros(slots, nodes, device=device) for nodes in sizes[1:]]

    def select_slots(self, slots: slice) -> list[Tensor]:
        """The numbers of some slots."""
        return [tensor[slots] for tensor in (*self.weights, *self.biases)]


class StackParameters:
    """The parameters of a stack, with their gradients and AdamW's two running means."""

    def __init__(self, slots: int, features: int, widths: Sequence[int], device: torch.device) -> None:
        self.values, self.gradients, self.first_moments, self.second_moments = (
            StackedTensors(slots, features, widths, device) for _ in range(4)
        )
        self.features, self.widths, self.layer_count = features, tuple(widths), len(widths)

    def write_state_dict(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Takes a network's weights, as `network.Dense` names them."""
        for layer, nodes in enumerate(self.widths):
            weight = state[f"layers.{layer}.weight"]
            self.values.weights[layer][slot, :nodes, : weight.shape[1]] = weight
            self.values.biases[layer][slot, :nodes] = state[f"layers.{layer}.bias"]

    def copy_slot(self, slot: int, source: StackParameters, source_slot: int) -> None:
        """Takes a network's weights and the optimiser's means of them from another stack."""
        for (_, mine), (_, theirs) in zip(self._named_tensors(), source._named_tensors(), strict=True):
            mine[slot] = theirs[source_slot]

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Everything that outlives a step, by name: all but the gradients."""
        kinds = {"values": self.values, "first": self.first_moments, "second": self.second_moments}
        for kind, stacked in kinds.items():
            for index, tensor in enumerate((*stacked.weights, *stacked.biases)):
                yield f"{kind}.{index}", tensor

    def training_state(self, slot: int) -> dict[str, Tensor]:
        """A copy of a slot's values and of the optimiser's means, on the CPU."""
        return {name: each[slot].cpu().clone() for name, each in self._named_tensors()}

    def load_training_state(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Takes what `kept` has copied."""
        for name, tensor in self._named_tensors():
            tensor[slot] = state[name]

    def read_state_dict(self, slot: int) -> dict[str, Tensor]:
        """A copy of a network's weights, on the CPU."""
        state = {}
        for layer, (inputs, nodes) in enumerate(pairwise((self.features, *self.widths))):
            state[f"layers.{layer}.weight"] = self.values.weights[layer][slot, :nodes, :inputs].cpu().clone()
            state[f"layers.{layer}.bias"] = self.values.biases[layer][slot, :nodes].cpu().clone()
        return state
