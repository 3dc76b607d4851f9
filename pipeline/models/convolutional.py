"""Blocks of convolutions, which stand between pictures and the hidden layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config.model import Convolutions, Pooling

COLOR_CHANNELS = 3
BATCH_NORM_MOMENTUM, BATCH_NORM_EPSILON = 0.1, 1e-5
POOLING_FUNCTIONS: dict[Pooling, Callable[[Tensor, int], Tensor]] = {
    "max": functional.max_pool2d,
    "average": functional.avg_pool2d,
}


class ConvBlock(nn.Module):
    """A convolution, pooling that halves each side, and a normalisation of each channel over the minibatch.

    mean, variance: running ones of a channel, not learned; they take the minibatch's place when it does not train, and
    where a minibatch is a single row of a single pixel.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, pooling: Pooling) -> None:
        super().__init__()
        self.pooling = POOLING_FUNCTIONS[pooling]
        memory_format = torch.channels_last  # measured to be the faster one
        self.weight = nn.Parameter(
            torch.empty(out_channels, in_channels, kernel_size, kernel_size).to(memory_format=memory_format)
        )
        self.scale, self.offset = (nn.Parameter(torch.empty(out_channels)) for _ in range(2))
        self.register_buffer("mean", torch.zeros(out_channels))
        self.register_buffer("variance", torch.ones(out_channels))

    def init_weights(self, generator: torch.Generator) -> None:
        """Draws the weights uniformly from +-1/sqrt(inputs of a node), as `nn.Conv2d` does."""
        bound = 1 / math.sqrt(self.weight[0].numel())
        nn.init.uniform_(self.weight, -bound, bound, generator)
        nn.init.ones_(self.scale)
        nn.init.zeros_(self.offset)

    def forward(self, images: Tensor) -> Tensor:
        """[n, before, H, W] to [n, channels, H / 2, W / 2], before any activation."""
        pooled = self.pooling(functional.conv2d(images, self.weight, padding="same"), 2)
        use_batch_statistics = self.training and pooled.numel() > pooled.shape[1]  # one number of a channel has none
        return functional.batch_norm(
            pooled,
            self.mean,
            self.variance,
            self.scale,
            self.offset,
            use_batch_statistics,
            BATCH_NORM_MOMENTUM,
            BATCH_NORM_EPSILON,
        )


class ConvBlocks(nn.Module):
    """Block after block, an activation after each, and the mean of each channel of the last."""

    def __init__(self, convolutions: Convolutions) -> None:
        super().__init__()
        channel_pairs = pairwise((COLOR_CHANNELS, *convolutions.channels))
        self.blocks = nn.ModuleList(
            ConvBlock(*pair, convolutions.kernel, convolutions.pooling) for pair in channel_pairs
        )

    def init_weights(self, generator: torch.Generator) -> None:
        """See `Block`."""
        for block in self.blocks:
            assert isinstance(block, ConvBlock)
            block.init_weights(generator)

    def forward(self, images: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
        """[n, 3, H, W] to [n, channels of the last block]."""
        images = images.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            images = activation(block(images))
        return images.mean((2, 3))


def count_conv_parameters(convolutions: Convolutions) -> int:
    """Learned numbers: for each block its weights, and a scale and an offset for each channel."""
    channel_pairs = pairwise((COLOR_CHANNELS, *convolutions.channels))
    return sum(channels * (before * convolutions.kernel**2 + 2) for before, channels in channel_pairs)


def conv_tensor_shapes(convolutions: Convolutions) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of `Blocks`, learned or not."""
    tensor_shapes: dict[str, tuple[int, ...]] = {}
    for index, (in_channels, out_channels) in enumerate(pairwise((COLOR_CHANNELS, *convolutions.channels))):
        tensor_shapes[f"blocks.{index}.weight"] = (out_channels, in_channels, convolutions.kernel, convolutions.kernel)
        tensor_shapes |= {f"blocks.{index}.{name}": (out_channels,) for name in ("scale", "offset", "mean", "variance")}
    return tensor_shapes


def count_largest_activation(convolutions: Convolutions, image_side: int) -> int:
    """How many numbers the largest result is that the blocks make of a picture."""
    return max(channels * (image_side >> place) ** 2 for place, channels in enumerate(convolutions.channels))


def count_conv_multiplications(convolutions: Convolutions, image_side: int) -> int:
    """How many it takes to answer for one picture."""
    channel_pairs = pairwise((COLOR_CHANNELS, *convolutions.channels))
    return sum(
        channels * before * (convolutions.kernel * (image_side >> place)) ** 2
        for place, (before, channels) in enumerate(channel_pairs)
    )
