"""From a Model to a torch module: hidden layers of the given widths, and one output layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config.schema import Activation, Model

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "tanh": torch.tanh,
}


class Dense(nn.Module):
    """A fully connected network; with no hidden layer it is logistic, softmax or linear regression.

    Reads float [N, features] and gives outputs [N, outputs], before any activation of the head.
    """

    def __init__(self, features: int, model: Model, outputs: int) -> None:
        super().__init__()
        widths = [features, *model.hidden, outputs]
        self.layers = nn.ModuleList(nn.Linear(*pair, device="meta").to_empty(device="cpu") for pair in pairwise(widths))
        self.activation: Activation = model.activation

    def initialise(self, generator: torch.Generator, output_bias: float | None = None) -> None:
        """Draws weights and biases uniformly from +-1/sqrt(inputs of the layer), as `nn.Linear` does.

        output_bias: what the last layer's bias starts at instead.
        """
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            bound = 1 / math.sqrt(layer.in_features)
            nn.init.uniform_(layer.weight, -bound, bound, generator)
            nn.init.uniform_(layer.bias, -bound, bound, generator)
            if layer is self.layers[-1] and output_bias is not None:
                nn.init.constant_(layer.bias, output_bias)

    def forward(self, inputs: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """The outputs; `masks`, one for each hidden layer or none at all, are dropout's, already scaled."""
        for index, layer in enumerate(self.layers[:-1]):
            inputs = ACTIVATIONS[self.activation](layer(inputs))
            if masks:
                inputs = inputs * masks[index]
        outputs: Tensor = self.layers[-1](inputs)
        return outputs.float()


def parameter_count(features: int, hidden: Sequence[int], outputs: int) -> int:
    """Learned numbers: for each layer its inputs times its outputs, and a bias for each output."""
    return sum(inputs * nodes + nodes for inputs, nodes in pairwise([features, *hidden, outputs]))
