"""The finetuned part of a pretrained backbone, followed by a standardization of its outputs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pipeline.config.model import FinetuneSpec
from pipeline.models.backbones import split

FINETUNE_EVAL_BATCH_SIZE = 32  # images


class FinetunedBackbone(nn.Module):
    """The trainable tail of a backbone; its outputs are standardized by statistics from before the finetuning."""

    mean: Tensor
    spread: Tensor

    def __init__(self, spec: FinetuneSpec, feature_count: int) -> None:
        super().__init__()
        self.tail = split.build_tail_without_weights(spec, "cpu")
        self.register_buffer("mean", torch.zeros(feature_count), persistent=False)
        self.register_buffer("spread", torch.ones(feature_count), persistent=False)

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


def backbone_tensor_shapes(spec: FinetuneSpec) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of `FinetunedBackbone.state_dict()` by name."""
    return {f"tail.{name}": shape for name, shape in split.tail_tensor_shapes(spec).items()}
