"""A pretrained network without its last layer: pictures go in, numbers come out. The only file that makes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.config.backbone_catalogue import EFFICIENTNET_LITE0
from pipeline.models.backbones import weights
from pipeline.models.backbones.weights import INSTALL_COMMAND
from pipeline.runtime.errors import UserError

IMAGENET_CLASS_COUNT = 1000  # of ImageNet
MODEL_ARGUMENTS = {  # what the published weights of these two were trained with
    "googlenet": {"aux_logits": True, "transform_input": True, "init_weights": False},
    "inception_v3": {"transform_input": True, "init_weights": False},
}


class BackboneNetwork(nn.Module):
    """A pretrained network up to its last layer, with its preprocessing.

    Reads uint8 [N, 3, H, W], RGB, and gives float [N, count]. Always as in evaluation: no dropout, and batch norm with
    the statistics of its pretraining.
    """

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.mean = nn.Buffer(torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.spread = nn.Buffer(torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.network(self.normalize(images))
        return outputs.flatten(1).float()

    def normalize(self, images: Tensor) -> Tensor:
        """uint8 [N, 3, H, W] as the network reads it."""
        normalized = (images.float() / 255 - self.mean) / self.spread
        return normalized.contiguous(memory_format=torch.channels_last)


def build_backbone(name: str, weights_file: Path) -> BackboneNetwork:
    """The body of a pretrained network with the weights of a file; raises UserError where they are not its own."""
    backbone = build_without_weights(name)
    state_dict = weights.load_weights(weights_file)
    if name == EFFICIENTNET_LITE0:
        state_dict = _rename_tensors(state_dict, backbone.network)
    expected_tensors = backbone.network.state_dict()
    if missing_keys := [
        key for key, value in expected_tensors.items() if key not in state_dict or state_dict[key].shape != value.shape
    ]:
        listed_keys = ", ".join(missing_keys[:3]) + (
            f" and {len(missing_keys) - 3} more" if len(missing_keys) > 3 else ""
        )
        raise UserError(
            f"model.weights: those of {name}, {len(expected_tensors)} tensors; {weights_file} lacks {listed_keys}"
        )
    backbone.network.load_state_dict({key: state_dict[key] for key in expected_tensors})
    return backbone.eval().to(memory_format=torch.channels_last)


def build_without_weights(name: str) -> BackboneNetwork:
    """The body of a pretrained network, without its weights."""
    return _build_efficientnet_lite() if name == EFFICIENTNET_LITE0 else _build_torchvision(name)


def _build_torchvision(name: str) -> BackboneNetwork:
    from torchvision.models import get_model, get_model_weights

    transforms = get_model_weights(name).DEFAULT.transforms()
    network = get_model(name, weights=None, **MODEL_ARGUMENTS.get(name, {}))
    classifier_name = [key for key, part in network.named_modules() if _is_classifier(part)][-1]
    network.set_submodule(classifier_name, nn.Identity())
    return BackboneNetwork(network, transforms.mean, transforms.std)


def _is_classifier(layer: nn.Module) -> bool:
    """Whether a layer gives a number a class; a network's last such one is its classifier."""
    output_count = getattr(layer, "out_features", getattr(layer, "out_channels", None))
    return isinstance(layer, nn.Linear | nn.Conv2d) and output_count == IMAGENET_CLASS_COUNT


def _build_efficientnet_lite() -> BackboneNetwork:
    try:
        from timm import create_model
    except ModuleNotFoundError:
        raise UserError(
            f"model.backbone={EFFICIENTNET_LITE0}: the package timm runs it, which is not there; {INSTALL_COMMAND}"
        ) from None
    return BackboneNetwork(create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0), [0.5] * 3, [0.5] * 3)


def _rename_tensors(state_dict: Mapping[str, Tensor], network: nn.Module) -> Mapping[str, Tensor]:
    """Weights under the names that timm has for them; the packaged file has others, in the same order."""
    names = network.state_dict().keys()
    return state_dict if names <= state_dict.keys() else dict(zip(names, state_dict.values(), strict=False))
