"""Blocks of convolutions, which stand between pictures and the hidden layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config.model import Convolutions, Pooling

COLOURS = 3
MOMENTUM, EPSILON = 0.1, 1e-5
POOLINGS: dict[Pooling, Callable[[Tensor, int], Tensor]] = {
    "max": functional.max_pool2d,
    "average": functional.avg_pool2d,
}


class Block(nn.Module):
    """A convolution, pooling that halves each side, and a normalisation of each channel over the minibatch.

    mean, variance: running ones of a channel, not learned; they take the minibatch's place when it does not train, and
    where a minibatch is a single row of a single pixel.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, before: int, channels: int, kernel: int, pooling: Pooling) -> None:
        super().__init__()
        self.pooling = POOLINGS[pooling]
        layout = torch.channels_last  # measured to be the faster one
        self.weight = nn.Parameter(torch.empty(channels, before, kernel, kernel).to(memory_format=layout))
        self.scale, self.offset = (nn.Parameter(torch.empty(channels)) for _ in range(2))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def initialise(self, generator: torch.Generator) -> None:
        """Draws the weights uniformly from +-1/sqrt(inputs of a node), as `nn.Conv2d` does."""
        bound = 1 / math.sqrt(self.weight[0].numel())
        nn.init.uniform_(self.weight, -bound, bound, generator)
        nn.init.ones_(self.scale)
        nn.init.zeros_(self.offset)

    def forward(self, pictures: Tensor) -> Tensor:
        """[n, before, H, W] to [n, channels, H / 2, W / 2], before any activation."""
        sums = self.pooling(functional.conv2d(pictures, self.weight, padding="same"), 2)
        spread = self.training and sums.numel() > sums.shape[1]  # one number of a channel has none
        return functional.batch_norm(sums, self.mean, self.variance, self.scale, self.offset, spread, MOMENTUM, EPSILON)


class Blocks(nn.Module):
    """Block after block, an activation after each, and the mean of each channel of the last."""

    def __init__(self, convolutions: Convolutions) -> None:
        super().__init__()
        widths = pairwise((COLOURS, *convolutions.channels))
        self.blocks = nn.ModuleList(Block(*pair, convolutions.kernel, convolutions.pooling) for pair in widths)

    def initialise(self, generator: torch.Generator) -> None:
        """See `Block`."""
        for block in self.blocks:
            assert isinstance(block, Block)
            block.initialise(generator)

    def forward(self, pictures: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
        """[n, 3, H, W] to [n, channels of the last block]."""
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            pictures = activation(block(pictures))
        return pictures.mean((2, 3))


def parameter_count(convolutions: Convolutions) -> int:
    """Learned numbers: for each block its weights, and a scale and an offset for each channel."""
    widths = pairwise((COLOURS, *convolutions.channels))
    return sum(channels * (before * convolutions.kernel**2 + 2) for before, channels in widths)


def shapes(convolutions: Convolutions) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of `Blocks`, learned or not."""
    found: dict[str, tuple[int, ...]] = {}
    for place, (before, channels) in enumerate(pairwise((COLOURS, *convolutions.channels))):
        found[f"blocks.{place}.weight"] = (channels, before, convolutions.kernel, convolutions.kernel)
        found |= {f"blocks.{place}.{name}": (channels,) for name in ("scale", "offset", "mean", "variance")}
    return found


def nodes(convolutions: Convolutions, side: int) -> int:
    """How many numbers the largest result is that the blocks make of a picture."""
    return max(channels * (side >> place) ** 2 for place, channels in enumerate(convolutions.channels))


def multiplications(convolutions: Convolutions, side: int) -> int:
    """How many it takes to answer for one picture."""
    widths = pairwise((COLOURS, *convolutions.channels))
    return sum(
        channels * before * (convolutions.kernel * (side >> place)) ** 2
        for place, (before, channels) in enumerate(widths)
    )
