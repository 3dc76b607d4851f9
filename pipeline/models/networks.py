"""Networks of a `Model`: convolutional blocks or a finetuned backbone, if any, hidden layers and an output layer."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config.model import ActivationName, FinetuneSpec, Model
from pipeline.models import convolutional, normalization
from pipeline.models.backbones import split

StateDict = dict[str, Tensor]
ACTIVATION_FUNCTIONS: dict[ActivationName, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "tanh": torch.tanh,
}
FINETUNE_EVAL_BATCH_SIZE = 32  # images
MAX_EVAL_ACTIVATIONS = 2**24  # values of the largest activation of an evaluation batch: 64 MiB
MAX_ACTIVATIONS_PER_IMAGE = 2**26  # values of the largest activation of one image


class DenseNetwork(nn.Module):
    """Fully connected network; without hidden layers it is logistic, softmax or linear regression.

    Maps float [N, features] to outputs [N, outputs], before the head's activation.
    """

    def __init__(self, in_features: int, model: Model, out_features: int) -> None:
        super().__init__()
        widths = [in_features, *model.hidden, out_features]
        self.layers = nn.ModuleList(nn.Linear(*pair, device="meta").to_empty(device="cpu") for pair in pairwise(widths))
        self.norms = normalization.build_norms(model)
        self.activation: ActivationName = model.activation
        sizes = [0, *model.hidden]
        self.adds_input = [model.residual and nodes == inputs for inputs, nodes in pairwise(sizes)]

    def init_weights(self, generator: torch.Generator, output_bias: float | None = None) -> None:
        """Initialize weights and biases uniformly in +-1/sqrt(fan_in), as `nn.Linear` does.

        output_bias: initial bias of the output layer, if given.
        """
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            bound = 1 / math.sqrt(layer.in_features)
            nn.init.uniform_(layer.weight, -bound, bound, generator)
            nn.init.uniform_(layer.bias, -bound, bound, generator)
            if layer is self.layers[-1] and output_bias is not None:
                nn.init.constant_(layer.bias, output_bias)

    def forward(self, inputs: Tensor, dropout_masks: Sequence[Tensor] = ()) -> Tensor:
        """Return float32 outputs [N, outputs]; dropout masks, one per hidden layer or none, are already scaled."""
        for index, layer in enumerate(self.layers[:-1]):
            sums = self.norms[index](layer(inputs)) if self.norms else layer(inputs)
            nodes = ACTIVATION_FUNCTIONS[self.activation](sums)
            if dropout_masks:
                nodes = nodes * dropout_masks[index]
            # He et al. 2016, arXiv:1512.03385
            inputs = inputs + nodes if self.adds_input[index] else nodes
        outputs: Tensor = self.layers[-1](inputs)
        return outputs.float()


class ConvolutionalNetwork(nn.Module):
    """Convolutional blocks, followed by a fully connected network on the channel means.

    Maps images, float [N, 3 x side x side], to outputs [N, outputs].
    """

    def __init__(self, in_features: int, model: Model, out_features: int) -> None:
        super().__init__()
        assert model.convolutions is not None
        self.image_side = compute_image_side(in_features)
        image_activations = convolutional.count_largest_activation(model.convolutions, self.image_side)
        self.eval_batch_size = max(1, MAX_EVAL_ACTIVATIONS // image_activations)
        self.activation = ACTIVATION_FUNCTIONS[model.activation]
        self.blocks = convolutional.ConvBlocks(model.convolutions)
        self.dense = DenseNetwork(model.convolutions.channels[-1], model, out_features)

    def init_weights(self, generator: torch.Generator, output_bias: float | None = None) -> None:
        """Initialize the blocks, then the fully connected network; see `DenseNetwork.init_weights`."""
        self.blocks.init_weights(generator)
        self.dense.init_weights(generator, output_bias)

    def forward(self, inputs: Tensor, dropout_masks: Sequence[Tensor] = ()) -> Tensor:
        """Return the outputs, in evaluation batch by batch; see `DenseNetwork.forward`."""
        images = inputs.view(-1, convolutional.COLOR_CHANNELS, self.image_side, self.image_side)
        batches = [images] if self.training else torch.split(images, self.eval_batch_size)
        channel_means = [self.blocks(batch, self.activation) for batch in batches]
        outputs: Tensor = self.dense(torch.cat(channel_means), dropout_masks)
        return outputs


class FinetunedBackbone(nn.Module):
    """The trainable tail of a backbone; its outputs are standardized by statistics from before the finetuning."""

    def __init__(self, spec: FinetuneSpec, feature_count: int) -> None:
        super().__init__()
        self.tail = split.build_tail_without_weights(spec, "cpu")
        self.mean: Tensor = nn.Buffer(torch.zeros(feature_count), persistent=False)
        self.spread: Tensor = nn.Buffer(torch.ones(feature_count), persistent=False)

    def set_scaling(self, constants: Mapping[str, Tensor]) -> None:
        """Set the mean and the standard deviation of each output from the inputs' constants."""
        self.mean = constants["input.mean"]
        self.spread = constants["input.spread"]

    def forward(self, views: Tensor) -> Tensor:
        """Map [n, views, ...] activations to float [n, features]: the mean over views, standardized."""
        flat = views.flatten(0, 1)
        batches = [flat] if self.training else torch.split(flat, FINETUNE_EVAL_BATCH_SIZE)
        outputs = torch.cat([self.tail(batch) for batch in batches]).view(*views.shape[:2], -1)
        scaled: Tensor = (outputs.mean(1) - self.mean) / self.spread
        return scaled


class FinetunedNetwork(nn.Module):
    """The finetuned part of a pretrained backbone, followed by a fully connected network.

    Maps activations [N, views, ...] to outputs [N, outputs]. Its weights are loaded: the backbone's pretrained ones
    and those of a fully connected network that was trained on the backbone's outputs.
    """

    def __init__(self, in_features: int, model: Model, out_features: int) -> None:
        super().__init__()
        assert model.tail is not None
        self.backbone = FinetunedBackbone(model.tail, in_features)
        self.dense = DenseNetwork(in_features, model, out_features)

    def forward(self, inputs: Tensor, dropout_masks: Sequence[Tensor] = ()) -> Tensor:
        """Return the outputs; see `DenseNetwork.forward`."""
        outputs: Tensor = self.dense(self.backbone(inputs), dropout_masks)
        return outputs


Network = DenseNetwork | ConvolutionalNetwork | FinetunedNetwork


def build_network(in_features: int, model: Model, out_features: int) -> Network:
    """Return the network of a model, its weights uninitialized."""
    if model.tail is not None:
        return FinetunedNetwork(in_features, model, out_features)
    return (DenseNetwork if model.convolutions is None else ConvolutionalNetwork)(in_features, model, out_features)


def compute_image_side(in_features: int) -> int:
    """Return the side of a square RGB image of `in_features` values."""
    return math.isqrt(in_features // convolutional.COLOR_CHANNELS)


def count_dense_parameters(in_features: int, hidden: Sequence[int], out_features: int) -> int:
    """Count the parameters of a fully connected network: weights, and a bias per output of each layer."""
    return sum(inputs * nodes + nodes for inputs, nodes in pairwise([in_features, *hidden, out_features]))


def _dense_in_features(in_features: int, model: Model) -> int:
    return in_features if model.convolutions is None else model.convolutions.channels[-1]


def count_parameters(in_features: int, model: Model, out_features: int) -> int:
    """Count the trainable parameters of the network of a model."""
    count = count_dense_parameters(_dense_in_features(in_features, model), model.hidden, out_features)
    count += normalization.count_norm_parameters(model)
    if model.tail is not None:
        count += split.count_tail_parameters(model.tail)
    if model.convolutions is not None:
        count += convolutional.count_conv_parameters(model.convolutions)
    return count


def count_multiplications(in_features: int, model: Model, out_features: int) -> int:
    """Estimate the multiplications of a forward pass for one example; for a finetuned backbone a lower bound."""
    if model.convolutions is None:
        return count_parameters(in_features, model, out_features)
    dense_count = count_dense_parameters(_dense_in_features(in_features, model), model.hidden, out_features)
    return convolutional.count_conv_multiplications(model.convolutions, compute_image_side(in_features)) + dense_count


def network_tensor_shapes(in_features: int, model: Model, out_features: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of the state dict of a model's network, by name."""
    shapes: dict[str, tuple[int, ...]] = {}
    if model.tail is not None:
        tail_shapes = split.tail_tensor_shapes(model.tail)
        shapes |= {f"backbone.tail.{name}": shape for name, shape in tail_shapes.items()}
    if model.convolutions is not None:
        block_shapes = convolutional.conv_tensor_shapes(model.convolutions)
        shapes |= {f"blocks.{name}": shape for name, shape in block_shapes.items()}
    prefix = "dense." if shapes else ""
    widths = [_dense_in_features(in_features, model), *model.hidden, out_features]
    for layer, (inputs, nodes) in enumerate(pairwise(widths)):
        shapes |= {f"{prefix}layers.{layer}.weight": (nodes, inputs), f"{prefix}layers.{layer}.bias": (nodes,)}
    norm_shapes = normalization.norm_tensor_shapes(model)
    return shapes | {f"{prefix}norms.{name}": shape for name, shape in norm_shapes.items()}


def find_size_error(in_features: int, model: Model) -> str | None:
    """Return why a model cannot read inputs of `in_features` values, or None; nothing is allocated."""
    convolutions = model.convolutions
    if convolutions is None:
        return None
    image_side = compute_image_side(in_features)
    if image_side >> len(convolutions.channels) == 0:
        return f"images of {image_side} x {image_side} cannot be halved {len(convolutions.channels)} times"
    activation_count = convolutional.count_largest_activation(convolutions, image_side)
    if activation_count <= MAX_ACTIVATIONS_PER_IMAGE:
        return None
    return f"a block may have {MAX_ACTIVATIONS_PER_IMAGE:,} activations per image; this one has {activation_count:,}"
