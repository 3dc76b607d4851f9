"""A part of a pretrained backbone that is trained along, with a fully connected network on its outputs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pipeline.config.model import Tail
from pipeline.models.backbones import split

AT_ONCE = 32  # pictures, where nothing is learned from them


class Backbone(nn.Module):
    """The part, and the scaling of its outputs: by their mean and spread over the training rows, as it came."""

    mean: Tensor
    spread: Tensor

    def __init__(self, tail: Tail, features: int) -> None:
        super().__init__()
        self.tail = split.empty(tail, "cpu")
        self.register_buffer("mean", torch.zeros(features), persistent=False)
        self.register_buffer("spread", torch.ones(features), persistent=False)

    def scale(self, constants: Mapping[str, Tensor]) -> None:
        """Takes what was learned from the training rows."""
        self.mean, self.spread = constants["input.mean"], constants["input.spread"]

    def forward(self, views: Tensor) -> Tensor:
        """[n, views, ...] to float [n, features]: the mean over the views of a picture, scaled."""
        flat = views.flatten(0, 1)
        pieces = [flat] if self.training else torch.split(flat, AT_ONCE)
        outputs = torch.cat([self.tail(piece) for piece in pieces]).view(*views.shape[:2], -1)
        scaled: Tensor = (outputs.mean(1) - self.mean) / self.spread
        return scaled


def shapes(tail: Tail) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of `Backbone`, learned or not."""
    return {f"tail.{name}": shape for name, shape in split.shapes(tail).items()}
