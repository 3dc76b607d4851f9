"""A part of a pretrained backbone that is trained along, with a fully connected network on its outputs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pipeline.config.model import FinetuneSpec
from pipeline.models.backbones import split

FINETUNE_EVAL_BATCH_SIZE = 32  # pictures, where nothing is learned from them


class FinetunedBackbone(nn.Module):
    """The part, and the scaling of its outputs: by their mean and spread over the training rows, as it came."""

    mean: Tensor
    spread: Tensor

    def __init__(self, tail: FinetuneSpec, feature_count: int) -> None:
        super().__init__()
        self.tail = split.build_tail_without_weights(tail, "cpu")
        self.register_buffer("mean", torch.zeros(feature_count), persistent=False)
        self.register_buffer("spread", torch.ones(feature_count), persistent=False)

    def set_scaling(self, constants: Mapping[str, Tensor]) -> None:
        """Takes what was learned from the training rows."""
        self.mean, self.spread = constants["input.mean"], constants["input.spread"]

    def forward(self, views: Tensor) -> Tensor:
        """[n, views, ...] to float [n, features]: the mean over the views of a picture, scaled."""
        flat = views.flatten(0, 1)
        batches = [flat] if self.training else torch.split(flat, FINETUNE_EVAL_BATCH_SIZE)
        outputs = torch.cat([self.tail(piece) for piece in batches]).view(*views.shape[:2], -1)
        scaled: Tensor = (outputs.mean(1) - self.mean) / self.spread
        return scaled


def backbone_tensor_shapes(tail: FinetuneSpec) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of `Backbone`, learned or not."""
    return {f"tail.{name}": shape for name, shape in split.tail_tensor_shapes(tail).items()}
