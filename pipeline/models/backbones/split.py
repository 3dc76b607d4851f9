"""A pretrained network cut in two: a stem that stays as it is, and a tail that is trained along."""

from __future__ import annotations

from functools import cache
from typing import Self

import torch
from torch import Tensor, nn

from pipeline.config.backbone_catalogue import LITE
from pipeline.config.model import Tail
from pipeline.models.backbones.architectures import Body, skeleton

UNCOUNTABLE = "regnet"  # computes with numbers where it is made, so that it cannot be made without any


class Stem(nn.Module):
    """The first blocks, with the preprocessing: uint8 [N, 3, H, W] to what the tail reads."""

    def __init__(self, body: Body, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.body, self.blocks = body, nn.Sequential(*blocks)

    def forward(self, pictures: Tensor) -> Tensor:
        numbers: Tensor = self.blocks(self.body.scaled(pictures))
        return numbers


class Trained(nn.Module):
    """The last blocks, or the whole body: to float [N, count].

    As in evaluation, also in training: a small data set's minibatches know less of a channel than the pretraining did.
    """

    def __init__(self, blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = blocks
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        numbers: Tensor = self.blocks(inputs)
        return numbers.flatten(1).float()

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation."""
        return super().train(False)


def stem(body: Body, tail: Tail) -> Stem | None:
    """What comes before the part of a body that is trained; none where all of it is."""
    return None if tail.part == "all" else Stem(body, _halves(tail.backbone, body.network)[0])


def trained(body: Body, tail: Tail) -> Trained:
    """The part of a body that is trained."""
    blocks = body if tail.part == "all" else nn.Sequential(*_halves(tail.backbone, body.network)[1])
    return Trained(blocks).to(memory_format=torch.channels_last)


def empty(tail: Tail, device: str) -> Trained:
    """The part that is trained, with numbers that mean nothing."""
    with torch.device(device):
        return trained(skeleton(tail.backbone), tail)


@cache
def shapes(tail: Tail) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of the part that is trained, learned or not; of none anything is allocated."""
    return {name: tuple(value.shape) for name, value in _unallocated(tail).state_dict().items()}


@cache
def learned(tail: Tail) -> int:
    """How many numbers of it are learned."""
    return sum(value.numel() for value in _unallocated(tail).parameters())


def fits(backbone: str, side: int, count: int) -> bool:
    """Whether a backbone makes so many numbers of a picture of a side; of none anything is computed."""
    tail = Tail(backbone, "all")
    try:
        picture = torch.empty(1, 3, side, side, dtype=torch.uint8, device=_device(backbone))
        return int(_unallocated(tail)(picture).shape[1]) == count
    except (RuntimeError, AssertionError, ValueError):
        return False


def _unallocated(tail: Tail) -> Trained:
    return empty(tail, _device(tail.backbone))


def _device(backbone: str) -> str:
    return "cpu" if backbone.startswith(UNCOUNTABLE) else "meta"


def _halves(name: str, network: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """A network's parts in their order: up to its last blocks, and from there; for the families of `LAST`."""
    children, flat = dict(network.named_children()), nn.Flatten(1)

    def named(*keys: str) -> list[nn.Module]:
        return [children[key] for key in keys]

    if name == LITE:
        *before, last = [*named("conv_stem", "bn1"), *children["blocks"].children()]
        return before, [last, *named("conv_head", "bn2", "global_pool"), flat]
    if "layer4" in children:
        before = named("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
        return before, [*named("layer4", "avgpool"), flat, *named("fc")]
    if "trunk_output" in children:
        *before, last = [*named("stem"), *children["trunk_output"].children()]
        return before, [last, *named("avgpool"), flat, *named("fc")]
    *before, second, last = children["features"].children()
    pool = children.get("avgpool", nn.AdaptiveAvgPool2d(1))
    flats = [] if name.startswith("convnext") else [flat]  # its classifier flattens
    return before, [second, last, pool, *flats, *named("classifier")]
