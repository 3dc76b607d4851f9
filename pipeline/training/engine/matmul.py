"""The three products of a layer in a step, in float32 or in bfloat16."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from pipeline.training.engine.interface import Precision


class LayerMatmul(Protocol):
    """A layer of neighbouring slots. A step asks for `forward`, then `gradient`, then `below`, each once."""

    def __init__(self, weights: Tensor, biases: Tensor, gradients: Tensor, rows: int) -> None:
        """weights, gradients: float32 [slots, nodes, inputs]; biases: [slots, 1, nodes]; rows: of a minibatch."""

    def forward(self, inputs: Tensor, out: Tensor) -> None:
        """Writes fed [slots, rows, inputs] times the weights, plus the biases: [slots, rows, nodes]."""

    def weight_gradient(self, delta: Tensor) -> None:
        """Writes the gradients of the weights: delta [slots, rows, nodes] times what was fed."""

    def input_gradient(self, delta: Tensor, out: Tensor) -> None:
        """Writes delta times the weights: [slots, rows, inputs]."""


class Float32Matmul:
    """In float32."""

    def __init__(self, weights: Tensor, biases: Tensor, gradients: Tensor, rows: int) -> None:
        self.weights, self.biases, self.gradients = weights, biases, gradients
        self.transposed_weights = weights.transpose(1, 2)
        self.inputs = weights

    def forward(self, inputs: Tensor, out: Tensor) -> None:
        """See `Products`."""
        self.inputs = inputs
        torch.baddbmm(self.biases, inputs, self.transposed_weights, out=out)

    def weight_gradient(self, delta: Tensor) -> None:
        """See `Products`."""
        torch.bmm(delta.transpose(1, 2), self.inputs, out=self.gradients)

    def input_gradient(self, delta: Tensor, out: Tensor) -> None:
        """See `Products`."""
        torch.bmm(delta, self.weights, out=out)


class Bfloat16Matmul:
    """In bfloat16, of float32 weights: their copies are made anew in each step; sums and optimiser stay in float32."""

    def __init__(self, weights: Tensor, biases: Tensor, gradients: Tensor, rows: int) -> None:
        self.weights, self.biases, self.gradients = weights, biases, gradients
        slots, nodes, inputs = weights.shape

        def allocate(*shape: int) -> Tensor:
            return torch.zeros(slots, *shape, dtype=torch.bfloat16, device=weights.device)

        self.bf16_weights, self.bf16_gradients = allocate(nodes, inputs), allocate(nodes, inputs)
        self.bf16_inputs, self.bf16_input_gradient = allocate(rows, inputs), allocate(rows, inputs)
        self.bf16_outputs, self.bf16_delta = allocate(rows, nodes), allocate(rows, nodes)

    def forward(self, inputs: Tensor, out: Tensor) -> None:
        """See `Products`."""
        self.bf16_inputs.copy_(inputs)
        self.bf16_weights.copy_(self.weights)
        torch.bmm(self.bf16_inputs, self.bf16_weights.transpose(1, 2), out=self.bf16_outputs)
        torch.add(self.bf16_outputs, self.biases, out=out)

    def weight_gradient(self, delta: Tensor) -> None:
        """See `Products`."""
        self.bf16_delta.copy_(delta)
        torch.bmm(self.bf16_delta.transpose(1, 2), self.bf16_inputs, out=self.bf16_gradients)
        self.gradients.copy_(self.bf16_gradients)

    def input_gradient(self, delta: Tensor, out: Tensor) -> None:
        """See `Products`."""
        torch.bmm(self.bf16_delta, self.bf16_weights, out=self.bf16_input_gradient)
        out.copy_(self.bf16_input_gradient)


MATMUL_CLASSES: dict[Precision, type[LayerMatmul]] = {"fp32": Float32Matmul, "bf16": Bfloat16Matmul}
