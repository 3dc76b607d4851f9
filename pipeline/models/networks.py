"""From a Model to a torch module: what stands in front, hidden layers of the given widths, and one output layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config.model import Activation, Model
from pipeline.models import convolutional

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "tanh": torch.tanh,
}
AT_ONCE = 2**24  # numbers of a result of the convolutions, where no gradient needs all of them: 64 MiB
MOST_NODES = 2**26  # of such a result for one picture


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


class Convolutional(nn.Module):
    """Blocks of convolutions in front of a fully connected network, which reads the mean of each channel.

    Reads pictures as float [N, 3 x side x side], and gives what `Dense` gives.
    """

    def __init__(self, features: int, model: Model, outputs: int) -> None:
        super().__init__()
        assert model.convolutions is not None
        self.side = side_of(features)
        self.at_once = max(1, AT_ONCE // convolutional.nodes(model.convolutions, self.side))
        self.activation = ACTIVATIONS[model.activation]
        self.blocks = convolutional.Blocks(model.convolutions)
        self.dense = Dense(model.convolutions.channels[-1], model, outputs)

    def initialise(self, generator: torch.Generator, output_bias: float | None = None) -> None:
        """Draws the weights of the blocks, then those of the hidden layers; see `Dense`."""
        self.blocks.initialise(generator)
        self.dense.initialise(generator, output_bias)

    def forward(self, inputs: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """The outputs; `masks` as in `Dense`. Where it does not train, some pictures at a time."""
        pictures = inputs.view(-1, convolutional.COLOURS, self.side, self.side)
        parts = [pictures] if self.training else torch.split(pictures, self.at_once)
        means = [self.blocks(part, self.activation) for part in parts]
        outputs: Tensor = self.dense(torch.cat(means), masks)
        return outputs


class Tuned(nn.Module):
    """A part of a pretrained backbone in front of a fully connected network.

    Reads what the part reads, [N, views, ...], and gives what `Dense` gives. Its numbers are not drawn: they are those
    of the backbone, and of a fully connected network that was trained before.
    """

    def __init__(self, features: int, model: Model, outputs: int) -> None:
        super().__init__()
        assert model.tail is not None
        from pipeline.models.finetuned import Backbone  # only where there is one: the others start faster

        self.backbone = Backbone(model.tail, features)
        self.dense = Dense(features, model, outputs)

    def forward(self, inputs: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """The outputs; `masks` as in `Dense`."""
        outputs: Tensor = self.dense(self.backbone(inputs), masks)
        return outputs


Network = Dense | Convolutional | Tuned


def build(features: int, model: Model, outputs: int) -> Network:
    """The network of a model, its numbers still to be set."""
    if model.tail is not None:
        return Tuned(features, model, outputs)
    return (Dense if model.convolutions is None else Convolutional)(features, model, outputs)


def side_of(features: int) -> int:
    """The side of pictures that are so many numbers."""
    return math.isqrt(features // convolutional.COLOURS)


def parameter_count(features: int, hidden: Sequence[int], outputs: int) -> int:
    """Learned numbers: for each layer its inputs times its outputs, and a bias for each output."""
    return sum(inputs * nodes + nodes for inputs, nodes in pairwise([features, *hidden, outputs]))


def learned(features: int, model: Model, outputs: int) -> int:
    """Learned numbers of the network of a model."""
    if model.tail is not None:
        from pipeline.models.backbones import split

        return split.learned(model.tail) + parameter_count(features, model.hidden, outputs)
    if model.convolutions is None:
        return parameter_count(features, model.hidden, outputs)
    dense = parameter_count(model.convolutions.channels[-1], model.hidden, outputs)
    return convolutional.parameter_count(model.convolutions) + dense


def multiplications(features: int, model: Model, outputs: int) -> int:
    """About how many it takes to answer for one example; of a backbone's part at least so many."""
    if model.tail is not None:
        return learned(features, model, outputs)
    if model.convolutions is None:
        return parameter_count(features, model.hidden, outputs)
    dense = parameter_count(model.convolutions.channels[-1], model.hidden, outputs)
    return convolutional.multiplications(model.convolutions, side_of(features)) + dense


def shapes(features: int, model: Model, outputs: int) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of the network of a model, learned or not, by its name."""
    found: dict[str, tuple[int, ...]] = {}
    prefix = ""
    if model.tail is not None:
        from pipeline.models import finetuned

        found |= {f"backbone.{name}": shape for name, shape in finetuned.shapes(model.tail).items()}
        prefix = "dense."
    if model.convolutions is not None:
        found |= {f"blocks.{name}": shape for name, shape in convolutional.shapes(model.convolutions).items()}
        features, prefix = model.convolutions.channels[-1], "dense."
    for layer, (inputs, nodes) in enumerate(pairwise([features, *model.hidden, outputs])):
        found |= {f"{prefix}layers.{layer}.weight": (nodes, inputs), f"{prefix}layers.{layer}.bias": (nodes,)}
    return found


def unfit(features: int, model: Model) -> str | None:
    """What is wrong with a model for inputs of so many numbers, before anything of it is made; None if nothing is."""
    convolutions, side = model.convolutions, side_of(features)
    if convolutions is None:
        return None
    if side >> len(convolutions.channels) == 0:
        return f"pictures of {side} x {side} cannot be halved {len(convolutions.channels)} times"
    if (nodes := convolutional.nodes(convolutions, side)) > MOST_NODES:
        return f"a block makes at most {MOST_NODES:,} numbers of a picture; this one makes {nodes:,}"
    return None
