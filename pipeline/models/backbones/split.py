"""A pretrained network cut in two: a stem that stays as it is, and a tail that is trained along."""

from __future__ import annotations

from functools import cache
from typing import Self

import torch
from torch import Tensor, nn

from pipeline.config.backbone_catalogue import EFFICIENTNET_LITE0
from pipeline.config.model import FinetuneSpec
from pipeline.models.backbones.architectures import BackboneNetwork, build_without_weights

NO_META_DEVICE_PREFIX = "regnet"  # computes with numbers where it is made, so that it cannot be made without any


class FrozenStem(nn.Module):
    """The first blocks, with the preprocessing: uint8 [N, 3, H, W] to what the tail reads."""

    def __init__(self, body: BackboneNetwork, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.body, self.blocks = body, nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        activations: Tensor = self.blocks(self.body.normalize(images))
        return activations


class TrainableTail(nn.Module):
    """The last blocks, or the whole body: to float [N, count].

    As in evaluation, also in training: a small data set's minibatches know less of a channel than the pretraining did.
    """

    def __init__(self, blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = blocks
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        features: Tensor = self.blocks(inputs)
        return features.flatten(1).float()

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation."""
        return super().train(False)


def build_stem(backbone: BackboneNetwork, spec: FinetuneSpec) -> FrozenStem | None:
    """What comes before the part of a body that is trained; none where all of it is."""
    return None if spec.part == "all" else FrozenStem(backbone, _split_blocks(spec.backbone, backbone.network)[0])


def build_tail(backbone: BackboneNetwork, spec: FinetuneSpec) -> TrainableTail:
    """The part of a body that is trained."""
    blocks = backbone if spec.part == "all" else nn.Sequential(*_split_blocks(spec.backbone, backbone.network)[1])
    return TrainableTail(blocks).to(memory_format=torch.channels_last)


def build_tail_without_weights(spec: FinetuneSpec, device: str) -> TrainableTail:
    """The part that is trained, with numbers that mean nothing."""
    with torch.device(device):
        return build_tail(build_without_weights(spec.backbone), spec)


@cache
def tail_tensor_shapes(spec: FinetuneSpec) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of the part that is trained, learned or not; of none anything is allocated."""
    return {name: tuple(value.shape) for name, value in _build_unallocated_tail(spec).state_dict().items()}


@cache
def count_tail_parameters(spec: FinetuneSpec) -> int:
    """How many numbers of it are learned."""
    return sum(value.numel() for value in _build_unallocated_tail(spec).parameters())


def has_feature_count(backbone: str, image_side: int, feature_count: int) -> bool:
    """Whether a backbone makes so many numbers of a picture of a side; of none anything is computed."""
    spec = FinetuneSpec(backbone, "all")
    try:
        image = torch.empty(1, 3, image_side, image_side, dtype=torch.uint8, device=_choose_build_device(backbone))
        return int(_build_unallocated_tail(spec)(image).shape[1]) == feature_count
    except (RuntimeError, AssertionError, ValueError):
        return False


def _build_unallocated_tail(spec: FinetuneSpec) -> TrainableTail:
    return build_tail_without_weights(spec, _choose_build_device(spec.backbone))


def _choose_build_device(backbone: str) -> str:
    return "cpu" if backbone.startswith(NO_META_DEVICE_PREFIX) else "meta"


def _split_blocks(name: str, network: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """A network's parts in their order: up to its last blocks, and from there; for the families of `LAST`."""
    children, flatten = dict(network.named_children()), nn.Flatten(1)

    def named(*keys: str) -> list[nn.Module]:
        return [children[key] for key in keys]

    if name == EFFICIENTNET_LITE0:
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
