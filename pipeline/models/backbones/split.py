"""A pretrained network in two parts: a frozen stem and a finetuned tail."""

from functools import cache
from typing import Self

import torch
from torch import Tensor, nn

from pipeline.config.model import FinetuneSpec
from pipeline.models.backbones.architectures import BackboneNetwork, build_without_weights

NO_META_DEVICE_PREFIX = "regnet"  # its constructor reads tensor values, which the meta device does not have


class FrozenStem(nn.Module):
    """The preprocessing and the first blocks: maps uint8 [N, 3, H, W] to the activations that the tail reads."""

    def __init__(self, body: BackboneNetwork, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.body = body
        self.blocks = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        activations: Tensor = self.blocks(self.body.normalize(images))
        return activations


class TrainableTail(nn.Module):
    """The last blocks, or the whole backbone: maps activations to float [N, features].

    Always in evaluation mode: the pretraining's batch-norm statistics are better than those of a small data set.
    """

    def __init__(self, blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = blocks
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        features: Tensor = self.blocks(inputs)
        return features.flatten(1).float()

    def train(self, mode: bool = True) -> Self:
        """Keep the evaluation mode."""
        return super().train(False)


def build_stem(backbone: BackboneNetwork, spec: FinetuneSpec) -> nn.Module:
    """Return the frozen blocks of a backbone, or the identity if all of it is finetuned."""
    if spec.part == "all":
        return nn.Identity()
    return FrozenStem(backbone, _split_blocks(spec.backbone, backbone.network)[0])


def build_tail(backbone: BackboneNetwork, spec: FinetuneSpec) -> TrainableTail:
    """Return the finetuned blocks of a backbone."""
    blocks = backbone if spec.part == "all" else nn.Sequential(*_split_blocks(spec.backbone, backbone.network)[1])
    return TrainableTail(blocks).to(memory_format=torch.channels_last)


def build_tail_without_weights(spec: FinetuneSpec, device: str) -> TrainableTail:
    """Return the finetuned blocks with random weights."""
    with torch.device(device):
        return build_tail(build_without_weights(spec.backbone), spec)


@cache
def tail_tensor_shapes(spec: FinetuneSpec) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of the tail's state dict by name, without allocating them."""
    return {name: tuple(value.shape) for name, value in _build_unallocated_tail(spec).state_dict().items()}


@cache
def count_tail_parameters(spec: FinetuneSpec) -> int:
    """Count the trainable parameters of the tail, without allocating them."""
    return sum(value.numel() for value in _build_unallocated_tail(spec).parameters())


def has_feature_count(backbone: str, side: int, feature_count: int) -> bool:
    """Return whether a backbone has `feature_count` outputs for images of this side; on the meta device if possible."""
    try:
        tail = _build_unallocated_tail(FinetuneSpec(backbone, "all"))
        image = torch.empty(1, 3, side, side, dtype=torch.uint8, device=next(tail.parameters()).device)
        return int(tail(image).shape[1]) == feature_count
    except (RuntimeError, AssertionError, ValueError):
        return False


def _build_unallocated_tail(spec: FinetuneSpec) -> TrainableTail:
    needs_values = spec.backbone.startswith(NO_META_DEVICE_PREFIX)
    return build_tail_without_weights(spec, "cpu" if needs_values else "meta")


def _split_blocks(name: str, network: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """Split a network of `FINETUNE_LAST_FAMILIES` into the modules before its last blocks, and the rest, in order."""
    children = dict(network.named_children())
    flatten = nn.Flatten(1)

    def named(*keys: str) -> list[nn.Module]:
        return [children[key] for key in keys]

    if "conv_stem" in children:
        *before, last = [*named("conv_stem", "bn1"), *children["blocks"].children()]
        return before, [last, *named("conv_head", "bn2", "global_pool"), flatten]
    if "layer4" in children:
        before = named("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
        return before, [*named("layer4", "avgpool"), flatten, *named("fc")]
    if "trunk_output" in children:
        *before, last = [*named("stem"), *children["trunk_output"].children()]
        return before, [last, *named("avgpool"), flatten, *named("fc")]
    *before, second, last = children["features"].children()
    pool = children.get("avgpool", nn.AdaptiveAvgPool2d(1))
    flatten_layers = [] if name.startswith("convnext") else [flatten]  # its classifier flattens
    return before, [second, last, pool, *flatten_layers, *named("classifier")]
