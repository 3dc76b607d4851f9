"""The parameters of a stack in common tensors, with their gradients, AdamW's two moments and their running mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

FLOATS_PER_VECTOR = 16  # float32 in a 512-bit register (AVX-512)


def round_up_to_vector(count: int) -> int:
    """Return the count rounded up to a multiple of `FLOATS_PER_VECTOR`.

    Rows and nodes are padded to it with zeros, which remain exactly 0. So every matrix of every slot begins at an
    aligned address and ends with a whole vector; otherwise the products and the optimizer round a slot by its index.
    """
    return -(-count // FLOATS_PER_VECTOR) * FLOATS_PER_VECTOR


class StackedTensors:
    """One number for each parameter of each slot: its value, its gradient, one of AdamW's moments, or its mean.

    weights: a tensor [slots, nodes, inputs] for each layer; biases: [slots, nodes]; nodes are padded.
    """

    def __init__(self, slots: int, features: int, widths: Sequence[int], device: torch.device) -> None:
        sizes = [features, *map(round_up_to_vector, widths)]
        self.weights = [torch.zeros(slots, nodes, inputs, device=device) for inputs, nodes in pairwise(sizes)]
        self.biases = [torch.zeros(slots, nodes, device=device) for nodes in sizes[1:]]

    def select_slots(self, slots: slice) -> list[Tensor]:
        """Return views of the tensors at these slots."""
        return [tensor[slots] for tensor in (*self.weights, *self.biases)]


class StackParameters:
    """The parameters of a stack, with their gradients and AdamW's two moments.

    averages: their running means, where any slot has one.
    """

    def __init__(
        self, slots: int, features: int, widths: Sequence[int], device: torch.device, *, has_averages: bool
    ) -> None:
        self.values, self.gradients, self.first_moments, self.second_moments = (
            StackedTensors(slots, features, widths, device) for _ in range(4)
        )
        self.averages = StackedTensors(slots, features, widths, device) if has_averages else None
        self.features = features
        self.widths = tuple(widths)
        self.layer_count = len(widths)

    def write_state_dict(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Set a slot, and its running mean, to the weights of a `DenseNetwork`."""
        for stacked in filter(None, (self.values, self.averages)):
            for layer, nodes in enumerate(self.widths):
                weight = state[f"layers.{layer}.weight"]
                stacked.weights[layer][slot, :nodes, : weight.shape[1]] = weight
                stacked.biases[layer][slot, :nodes] = state[f"layers.{layer}.bias"]

    def copy_slot(self, slot: int, source: StackParameters, source_slot: int) -> None:
        """Set a slot to the weights, moments and running mean of a slot of another stack, which has all of them."""
        source_tensors = dict(source._named_tensors())
        for name, tensor in self._named_tensors():
            tensor[slot] = source_tensors[name][source_slot]

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the tensors that a later step reads, by name: all but the gradients, which each step overwrites."""
        kinds = {"values": self.values, "first": self.first_moments, "second": self.second_moments}
        if self.averages is not None:
            kinds["averages"] = self.averages
        for kind, stacked in kinds.items():
            for index, tensor in enumerate((*stacked.weights, *stacked.biases)):
                yield f"{kind}.{index}", tensor

    def training_state(self, slot: int) -> dict[str, Tensor]:
        """Return a copy of a slot's weights, moments and running mean, on the CPU."""
        return {name: each[slot].cpu().clone() for name, each in self._named_tensors()}

    def load_training_state(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Set a slot to what `training_state` returned."""
        for name, tensor in self._named_tensors():
            tensor[slot] = state[name]

    def read_state_dict(self, slot: int, stacked: StackedTensors) -> dict[str, Tensor]:
        """Return a copy of a slot's weights or their means, with the names of a `DenseNetwork`, on the CPU."""
        state = {}
        for layer, (inputs, nodes) in enumerate(pairwise((self.features, *self.widths))):
            state[f"layers.{layer}.weight"] = stacked.weights[layer][slot, :nodes, :inputs].cpu().clone()
            state[f"layers.{layer}.bias"] = stacked.biases[layer][slot, :nodes].cpu().clone()
        return state
