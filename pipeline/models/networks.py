"""From a Model to a torch module: what stands in front, hidden layers of the given widths, and one output layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config.model import ActivationName, Model
from pipeline.models import convolutional

ACTIVATION_FUNCTIONS: dict[ActivationName, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "tanh": torch.tanh,
}
MAX_EVAL_ACTIVATIONS = 2**24  # numbers of a result of the convolutions, where no gradient needs all of them: 64 MiB
MAX_ACTIVATIONS_PER_IMAGE = 2**26  # of such a result for one picture


class DenseNetwork(nn.Module):
    """A fully connected network; with no hidden layer it is logistic, softmax or linear regression.

    Reads float [N, features] and gives outputs [N, outputs], before any activation of the head.
    """

    def __init__(self, in_features: int, model: Model, out_features: int) -> None:
        super().__init__()
        widths = [in_features, *model.hidden, out_features]
        self.layers = nn.ModuleList(nn.Linear(*pair, device="meta").to_empty(device="cpu") for pair in pairwise(widths))
        self.activation: ActivationName = model.activation

    def init_weights(self, generator: torch.Generator, output_bias: float | None = None) -> None:
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

    def forward(self, inputs: Tensor, dropout_masks: Sequence[Tensor] = ()) -> Tensor:
        """The outputs; `masks`, one for each hidden layer or none at all, are dropout's, already scaled."""
        for index, layer in enumerate(self.layers[:-1]):
            inputs = ACTIVATION_FUNCTIONS[self.activation](layer(inputs))
            if dropout_masks:
                inputs = inputs * dropout_masks[index]
        outputs: Tensor = self.layers[-1](inputs)
        return outputs.float()


class ConvolutionalNetwork(nn.Module):
    """Blocks of convolutions in front of a fully connected network, which reads the mean of each channel.

    Reads pictures as float [N, 3 x side x side], and gives what `Dense` gives.
    """

    def __init__(self, in_features: int, model: Model, out_features: int) -> None:
        super().__init__()
        assert model.convolutions is not None
        self.image_side = compute_image_side(in_features)
        self.eval_batch_size = max(
            1, MAX_EVAL_ACTIVATIONS // convolutional.count_largest_activation(model.convolutions, self.image_side)
        )
        self.activation = ACTIVATION_FUNCTIONS[model.activation]
        self.blocks = convolutional.ConvBlocks(model.convolutions)
        self.dense = DenseNetwork(model.convolutions.channels[-1], model, out_features)

    def init_weights(self, generator: torch.Generator, output_bias: float | None = None) -> None:
        """Draws the weights of the blocks, then those of the hidden layers; see `Dense`."""
        self.blocks.init_weights(generator)
        self.dense.init_weights(generator, output_bias)

    def forward(self, inputs: Tensor, dropout_masks: Sequence[Tensor] = ()) -> Tensor:
        """The outputs; `masks` as in `Dense`. Where it does not train, some pictures at a time."""
        images = inputs.view(-1, convolutional.COLOR_CHANNELS, self.image_side, self.image_side)
        batches = [images] if self.training else torch.split(images, self.eval_batch_size)
        channel_means = [self.blocks(part, self.activation) for part in batches]
        outputs: Tensor = self.dense(torch.cat(channel_means), dropout_masks)
        return outputs


class FinetunedNetwork(nn.Module):
    """A part of a pretrained backbone in front of a fully connected network.

    Reads what the part reads, [N, views, ...], and gives what `Dense` gives. Its numbers are not drawn: they are those
    of the backbone, and of a fully connected network that was trained before.
    """

    def __init__(self, in_features: int, model: Model, out_features: int) -> None:
        super().__init__()
        assert model.tail is not None
        from pipeline.models.finetuned import FinetunedBackbone  # only where there is one: the others start faster

        self.backbone = FinetunedBackbone(model.tail, in_features)
        self.dense = DenseNetwork(in_features, model, out_features)

    def forward(self, inputs: Tensor, dropout_masks: Sequence[Tensor] = ()) -> Tensor:
        """The outputs; `masks` as in `Dense`."""
        outputs: Tensor = self.dense(self.backbone(inputs), dropout_masks)
        return outputs


Network = DenseNetwork | ConvolutionalNetwork | FinetunedNetwork


def build_network(in_features: int, model: Model, out_features: int) -> Network:
    """The network of a model, its numbers still to be set."""
    if model.tail is not None:
        return FinetunedNetwork(in_features, model, out_features)
    return (DenseNetwork if model.convolutions is None else ConvolutionalNetwork)(in_features, model, out_features)


def compute_image_side(in_features: int) -> int:
    """The side of pictures that are so many numbers."""
    return math.isqrt(in_features // convolutional.COLOR_CHANNELS)


def count_dense_parameters(in_features: int, hidden: Sequence[int], out_features: int) -> int:
    """Learned numbers: for each layer its inputs times its outputs, and a bias for each output."""
    return sum(inputs * nodes + nodes for inputs, nodes in pairwise([in_features, *hidden, out_features]))


def count_parameters(in_features: int, model: Model, out_features: int) -> int:
    """Learned numbers of the network of a model."""
    if model.tail is not None:
        from pipeline.models.backbones import split

        return split.count_tail_parameters(model.tail) + count_dense_parameters(in_features, model.hidden, out_features)
    if model.convolutions is None:
        return count_dense_parameters(in_features, model.hidden, out_features)
    dense_count = count_dense_parameters(model.convolutions.channels[-1], model.hidden, out_features)
    return convolutional.count_conv_parameters(model.convolutions) + dense_count


def count_multiplications(in_features: int, model: Model, out_features: int) -> int:
    """About how many it takes to answer for one example; of a backbone's part at least so many."""
    if model.tail is not None:
        return count_parameters(in_features, model, out_features)
    if model.convolutions is None:
        return count_dense_parameters(in_features, model.hidden, out_features)
    dense_count = count_dense_parameters(model.convolutions.channels[-1], model.hidden, out_features)
    return convolutional.count_conv_multiplications(model.convolutions, compute_image_side(in_features)) + dense_count


def network_tensor_shapes(in_features: int, model: Model, out_features: int) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of the network of a model, learned or not, by its name."""
    tensor_shapes: dict[str, tuple[int, ...]] = {}
    prefix = ""
    if model.tail is not None:
        from pipeline.models import finetuned

        tensor_shapes |= {
            f"backbone.{name}": shape for name, shape in finetuned.backbone_tensor_shapes(model.tail).items()
        }
        prefix = "dense."
    if model.convolutions is not None:
        tensor_shapes |= {
            f"blocks.{name}": shape for name, shape in convolutional.conv_tensor_shapes(model.convolutions).items()
        }
        in_features, prefix = model.convolutions.channels[-1], "dense."
    for layer, (inputs, nodes) in enumerate(pairwise([in_features, *model.hidden, out_features])):
        tensor_shapes |= {f"{prefix}layers.{layer}.weight": (nodes, inputs), f"{prefix}layers.{layer}.bias": (nodes,)}
    return tensor_shapes


def find_size_error(in_features: int, model: Model) -> str | None:
    """What is wrong with a model for inputs of so many numbers, before anything of it is made; None if nothing is."""
    convolutions, image_side = model.convolutions, compute_image_side(in_features)
    if convolutions is None:
        return None
    if image_side >> len(convolutions.channels) == 0:
        return f"pictures of {image_side} x {image_side} cannot be halved {len(convolutions.channels)} times"
    if (
        activation_count := convolutional.count_largest_activation(convolutions, image_side)
    ) > MAX_ACTIVATIONS_PER_IMAGE:
        return f"a block makes at most {MAX_ACTIVATIONS_PER_IMAGE:,} numbers of a picture; this one makes {activation_count:,}"
    return None
