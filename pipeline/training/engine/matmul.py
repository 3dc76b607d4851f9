"""The three products of a layer in a step, in float32 or in bfloat16."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from pipeline.training.engine.interface import Precision


class Products(Protocol):
    """A layer of neighbouring slots. A step asks for `forward`, then `gradient`, then `below`, each once."""

    def __init__(self, weights: Tensor, biases: Tensor, gradients: Tensor, rows: int) -> None:
        """weights, gradients: float32 [slots, nodes, inputs]; biases: [slots, 1, nodes]; rows: of a minibatch."""

    def forward(self, fed: Tensor, sums: Tensor) -> None:
        """Writes fed [slots, rows, inputs] times the weights, plus the biases: [slots, rows, nodes]."""

    def gradient(self, delta: Tensor) -> None:
        """Writes the gradients of the weights: delta [slots, rows, nodes] times what was fed."""

    def below(self, delta: Tensor, out: Tensor) -> None:
        """Writes delta times the weights: [slots, rows, inputs]."""


class FullProducts:
    """In float32."""

    def __init__(self, weights: Tensor, biases: Tensor, gradients: Tensor, rows: int) -> None:
        self.weights, self.biases, self.gradients = weights, biases, gradients
        self.turned = weights.transpose(1, 2)
        self.fed = weights

    def forward(self, fed: Tensor, sums: Tensor) -> None:
        """See `Products`."""
        self.fed = fed
        torch.baddbmm(self.biases, fed, self.turned, out=sums)

    def gradient(self, delta: Tensor) -> None:
        """See `Products`."""
        torch.bmm(delta.transpose(1, 2), self.fed, out=self.gradients)

    def below(self, delta: Tensor, out: Tensor) -> None:
        """See `Products`."""
        torch.bmm(delta, self.weights, out=out)


class HalfProducts:
    """In bfloat16, of float32 weights: their copies are made anew in each step; sums and optimiser stay in float32."""

    def __init__(self, weights: Tensor, biases: Tensor, gradients: Tensor, rows: int) -> None:
        self.weights, self.biases, self.gradients = weights, biases, gradients
        slots, nodes, inputs = weights.shape

        def buffer(*shape: int) -> Tensor:
            return torch.zeros(slots, *shape, dtype=torch.bfloat16, device=weights.device)

        self.half_weights, self.half_gradients = buffer(nodes, inputs), buffer(nodes, inputs)
        self.fed, self.half_below = buffer(rows, inputs), buffer(rows, inputs)
        self.half_sums, self.delta = buffer(rows, nodes), buffer(rows, nodes)

    def forward(self, fed: Tensor, sums: Tensor) -> None:
        """See `Products`."""
        self.fed.copy_(fed)
        self.half_weights.copy_(self.weights)
        torch.bmm(self.fed, self.half_weights.transpose(1, 2), out=self.half_sums)
        torch.add(self.half_sums, self.biases, out=sums)

    def gradient(self, delta: Tensor) -> None:
        """See `Products`."""
        self.delta.copy_(delta)
        torch.bmm(self.delta.transpose(1, 2), self.fed, out=self.half_gradients)
        self.gradients.copy_(self.half_gradients)

    def below(self, delta: Tensor, out: Tensor) -> None:
        """See `Products`."""
        torch.bmm(self.delta, self.half_weights, out=self.half_below)
        out.copy_(self.half_below)


PRODUCTS: dict[Precision, type[Products]] = {"fp32": FullProducts, "bf16": HalfProducts}
