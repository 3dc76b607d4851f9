"""The three matrix products of a layer in a training step, in float32 or bfloat16."""

from typing import Protocol

import torch
from torch import Tensor

from pipeline.training.engine.interface import Precision


class LayerMatmul(Protocol):
    """The products of one layer, for neighbouring slots. A step calls the three methods in this order, each once."""

    def __init__(self, weights: Tensor, biases: Tensor, gradients: Tensor, rows: int) -> None:
        """Take weights and gradients float32 [slots, nodes, inputs], biases [slots, 1, nodes] and the batch size."""

    def forward(self, inputs: Tensor, out: Tensor) -> None:
        """Write inputs [slots, rows, inputs] @ weights.T + biases to out [slots, rows, nodes]."""

    def weight_gradient(self, delta: Tensor) -> None:
        """Write delta.T @ inputs to the weights' gradients; delta: [slots, rows, nodes]."""

    def input_gradient(self, delta: Tensor, out: Tensor) -> None:
        """Write delta @ weights to out [slots, rows, inputs]."""


class Float32Matmul:
    """Products in float32."""

    def __init__(self, weights: Tensor, biases: Tensor, gradients: Tensor, rows: int) -> None:
        self.weights = weights
        self.biases = biases
        self.gradients = gradients
        self.transposed_weights = weights.transpose(1, 2)
        self.inputs = weights

    def forward(self, inputs: Tensor, out: Tensor) -> None:
        self.inputs = inputs
        # One kernel adds the biases too; a separate addition would pass over the outputs once more.
        torch.baddbmm(self.biases, inputs, self.transposed_weights, out=out)

    def weight_gradient(self, delta: Tensor) -> None:
        torch.bmm(delta.transpose(1, 2), self.inputs, out=self.gradients)

    def input_gradient(self, delta: Tensor, out: Tensor) -> None:
        torch.bmm(delta, self.weights, out=out)


class Bfloat16Matmul:
    """Products in bfloat16 of float32 weights; biases, losses and the optimizer stay in float32.

    The copies to bfloat16 cost what small products gain: 0.65 (case A) to 1.28 (case C) times the speed of float32 on a
    CPU, with equal accuracy within the noise (bench/LOG.md).
    """

    def __init__(self, weights: Tensor, biases: Tensor, gradients: Tensor, rows: int) -> None:
        self.weights = weights
        self.biases = biases
        self.gradients = gradients
        slots, nodes, inputs = weights.shape

        def allocate(*shape: int) -> Tensor:
            return torch.zeros(slots, *shape, dtype=torch.bfloat16, device=weights.device)

        self.bf16_weights = allocate(nodes, inputs)
        self.bf16_gradients = allocate(nodes, inputs)
        self.bf16_inputs = allocate(rows, inputs)
        self.bf16_input_gradient = allocate(rows, inputs)
        self.bf16_outputs = allocate(rows, nodes)
        self.bf16_delta = allocate(rows, nodes)

    def forward(self, inputs: Tensor, out: Tensor) -> None:
        self.bf16_inputs.copy_(inputs)
        # The optimizer changes the float32 weights (Micikevicius et al. 2018, arXiv:1710.03740): copied each step.
        self.bf16_weights.copy_(self.weights)
        torch.bmm(self.bf16_inputs, self.bf16_weights.transpose(1, 2), out=self.bf16_outputs)
        torch.add(self.bf16_outputs, self.biases, out=out)

    def weight_gradient(self, delta: Tensor) -> None:
        self.bf16_delta.copy_(delta)
        torch.bmm(self.bf16_delta.transpose(1, 2), self.bf16_inputs, out=self.bf16_gradients)
        self.gradients.copy_(self.bf16_gradients)

    def input_gradient(self, delta: Tensor, out: Tensor) -> None:
        torch.bmm(self.bf16_delta, self.bf16_weights, out=self.bf16_input_gradient)
        out.copy_(self.bf16_input_gradient)


MATMUL_CLASSES: dict[Precision, type[LayerMatmul]] = {"fp32": Float32Matmul, "bf16": Bfloat16Matmul}
