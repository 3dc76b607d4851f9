"""Convolutional blocks, which turn images into one mean per channel for the hidden layers."""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config.model import Convolutions, Pooling
from pipeline.models.normalization import BATCH_NORM_MOMENTUM, NORM_EPSILON

COLOR_CHANNELS = 3
POOLING_FUNCTIONS: dict[Pooling, Callable[[Tensor, int], Tensor]] = {
    "max": functional.max_pool2d,
    "average": functional.avg_pool2d,
}


class ConvBlock(nn.Module):
    """Convolution, pooling by 2 x 2 and batch normalization.

    mean, variance: running statistics, used in evaluation and for a minibatch of one value per channel.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, pooling: Pooling) -> None:
        super().__init__()
        self.pooling = POOLING_FUNCTIONS[pooling]
        weight = torch.empty(out_channels, in_channels, kernel_size, kernel_size)
        # Measured: oneDNN convolves faster in channels-last order.
        self.weight = nn.Parameter(weight.to(memory_format=torch.channels_last))
        self.scale = nn.Parameter(torch.empty(out_channels))
        self.offset = nn.Parameter(torch.empty(out_channels))
        self.mean = nn.Buffer(torch.zeros(out_channels))
        self.variance = nn.Buffer(torch.ones(out_channels))

    def init_weights(self, generator: torch.Generator) -> None:
        """Initialize the weights uniformly in +-1/sqrt(fan_in), as `nn.Conv2d` does, and reset scale and offset."""
        bound = 1 / math.sqrt(self.weight[0].numel())
        nn.init.uniform_(self.weight, -bound, bound, generator)
        nn.init.ones_(self.scale)
        nn.init.zeros_(self.offset)

    def forward(self, images: Tensor) -> Tensor:
        """Map [n, in_channels, H, W] to [n, out_channels, H / 2, W / 2], before the activation."""
        pooled = self.pooling(functional.conv2d(images, self.weight, padding="same"), 2)
        # The variance of a single value per channel is 0, and torch refuses it in training.
        use_batch = self.training and pooled.numel() > pooled.shape[1]
        tensors = (pooled, self.mean, self.variance, self.scale, self.offset)
        return functional.batch_norm(*tensors, use_batch, BATCH_NORM_MOMENTUM, NORM_EPSILON)


class ConvBlocks(nn.Module):
    """A sequence of blocks, each followed by an activation, with global average pooling at the end."""

    def __init__(self, convolutions: Convolutions) -> None:
        super().__init__()
        kernel = convolutions.kernel
        pairs = channel_pairs(convolutions)
        self.blocks = nn.ModuleList(ConvBlock(*pair, kernel, convolutions.pooling) for pair in pairs)

    def init_weights(self, generator: torch.Generator) -> None:
        """Initialize each block."""
        for block in self.blocks:
            assert isinstance(block, ConvBlock)
            block.init_weights(generator)

    def forward(self, images: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
        """Map images [n, 3, H, W] to the channel means [n, channels] of the last block."""
        images = images.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            images = activation(block(images))
        return images.mean((2, 3))


def channel_pairs(convolutions: Convolutions) -> list[tuple[int, int]]:
    """Return the input and output channels of each block."""
    return list(pairwise((COLOR_CHANNELS, *convolutions.channels)))


def count_conv_parameters(convolutions: Convolutions) -> int:
    """Count the trainable parameters: weights, and a scale and an offset per channel."""
    return sum(channels * (inputs * convolutions.kernel**2 + 2) for inputs, channels in channel_pairs(convolutions))


def conv_tensor_shapes(convolutions: Convolutions) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of `ConvBlocks.state_dict()` by name."""
    shapes: dict[str, tuple[int, ...]] = {}
    for index, (inputs, channels) in enumerate(channel_pairs(convolutions)):
        shapes[f"blocks.{index}.weight"] = (channels, inputs, convolutions.kernel, convolutions.kernel)
        shapes |= {f"blocks.{index}.{name}": (channels,) for name in ("scale", "offset", "mean", "variance")}
    return shapes


def count_largest_activation(convolutions: Convolutions, image_side: int) -> int:
    """Return the number of values in the largest activation for one image."""
    return max(channels * (image_side >> block) ** 2 for block, channels in enumerate(convolutions.channels))


def count_conv_multiplications(convolutions: Convolutions, image_side: int) -> int:
    """Count the multiplications of a forward pass for one image."""
    return sum(
        channels * inputs * (convolutions.kernel * (image_side >> block)) ** 2
        for block, (inputs, channels) in enumerate(channel_pairs(convolutions))
    )
