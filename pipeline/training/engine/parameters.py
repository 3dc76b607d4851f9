"""The numbers of a stack: its networks' parameters, their gradients, and AdamW's two running means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

VECTOR = 16  # float32 numbers in the widest vector of a processor


def filled(count: int) -> int:
    """The next whole number of vectors.

    Rows and nodes are filled up to it with zeros, which stay exactly 0. So every matrix of every slot begins at an
    aligned address and ends with a whole vector: elsewhere the products and the optimiser round a slot by its place.
    """
    return -(-count // VECTOR) * VECTOR


class Numbers:
    """A number for each parameter of each slot: its value, its gradient, or one of AdamW's running means.

    weights: a tensor [slots, nodes, inputs] a layer; biases: [slots, nodes] a layer; nodes are filled up.
    """

    def __init__(self, slots: int, features: int, widths: Sequence[int], device: torch.device) -> None:
        sizes = [features, *map(filled, widths)]
        self.weights = [torch.zeros(slots, nodes, inputs, device=device) for inputs, nodes in pairwise(sizes)]
        self.biases = [torch.zeros(slots, nodes, device=device) for nodes in sizes[1:]]

    def of(self, slots: slice) -> list[Tensor]:
        """The numbers of some slots."""
        return [tensor[slots] for tensor in (*self.weights, *self.biases)]


class Parameters:
    """The parameters of a stack, with their gradients and AdamW's two running means."""

    def __init__(self, slots: int, features: int, widths: Sequence[int], device: torch.device) -> None:
        self.values, self.gradients, self.first_moments, self.second_moments = (
            Numbers(slots, features, widths, device) for _ in range(4)
        )
        self.features, self.widths, self.layers = features, tuple(widths), len(widths)

    def write(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Takes a network's weights, as `network.Dense` names them."""
        for layer, nodes in enumerate(self.widths):
            weight = state[f"layers.{layer}.weight"]
            self.values.weights[layer][slot, :nodes, : weight.shape[1]] = weight
            self.values.biases[layer][slot, :nodes] = state[f"layers.{layer}.bias"]

    def copy(self, slot: int, other: Parameters, from_slot: int) -> None:
        """Takes a network's weights and the optimiser's means of them from another stack."""
        for (_, mine), (_, theirs) in zip(self._kept(), other._kept(), strict=True):
            mine[slot] = theirs[from_slot]

    def _kept(self) -> Iterator[tuple[str, Tensor]]:
        """Everything that outlives a step, by name: all but the gradients."""
        kinds = {"values": self.values, "first": self.first_moments, "second": self.second_moments}
        for kind, numbers in kinds.items():
            for place, each in enumerate((*numbers.weights, *numbers.biases)):
                yield f"{kind}.{place}", each

    def kept(self, slot: int) -> dict[str, Tensor]:
        """A copy of a slot's values and of the optimiser's means, on the CPU."""
        return {name: each[slot].cpu().clone() for name, each in self._kept()}

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Takes what `kept` has copied."""
        for name, each in self._kept():
            each[slot] = state[name]

    def read(self, slot: int) -> dict[str, Tensor]:
        """A copy of a network's weights, on the CPU."""
        state = {}
        for layer, (inputs, nodes) in enumerate(pairwise((self.features, *self.widths))):
            state[f"layers.{layer}.weight"] = self.values.weights[layer][slot, :nodes, :inputs].cpu().clone()
            state[f"layers.{layer}.bias"] = self.values.biases[layer][slot, :nodes].cpu().clone()
        return state
