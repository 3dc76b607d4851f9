"""Pretrained networks of torchvision and timm without their classifier: images in, features out."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.config.backbone_catalogue import BACKBONES, BackboneSpec
from pipeline.models.backbones import weights
from pipeline.runtime.errors import UserError

IMAGENET_CLASS_COUNT = 1000
# timm's normalization of TensorFlow's networks (its IMAGENET_INCEPTION_MEAN and _STD)
TIMM_MEAN = (0.5, 0.5, 0.5)
TIMM_STD = (0.5, 0.5, 0.5)


class BackboneNetwork(nn.Module):
    """A pretrained network without its classifier, with its preprocessing.

    Maps RGB images, uint8 [N, 3, H, W], to float [N, features]. It stays in evaluation mode: no dropout, and batch norm
    with the statistics of the pretraining.
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
        """Normalize uint8 [N, 3, H, W] images as in the pretraining."""
        normalized = (images.float() / 255 - self.mean) / self.spread
        return normalized.contiguous(memory_format=torch.channels_last)


def build_backbone(name: str, weights_file: Path) -> BackboneNetwork:
    """Return a pretrained network with the weights of a file; raises UserError if they are not its own."""
    backbone = build_without_weights(name)
    expected = backbone.network.state_dict()
    state_dict = weights.load_weights(weights_file)
    if BACKBONES[name].timm_name and not expected.keys() <= state_dict.keys():
        # the packaged weights file has other names than timm, in the same order
        state_dict = dict(zip(expected, state_dict.values(), strict=False))
    missing = [key for key in expected if key not in state_dict or state_dict[key].shape != expected[key].shape]
    if missing:
        listed = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        rule = f"model.weights: must have the {len(expected)} tensors of {name}"
        raise UserError(f"{rule}; {weights_file} lacks {listed}")
    backbone.network.load_state_dict({key: state_dict[key] for key in expected})
    return backbone.eval().to(memory_format=torch.channels_last)


def build_without_weights(name: str) -> BackboneNetwork:
    """Return a pretrained network without its weights."""
    spec = BACKBONES[name]
    if spec.timm_name:
        return _build_timm(spec)
    from torchvision.models import get_model, get_model_weights

    transforms = get_model_weights(spec.name).DEFAULT.transforms()
    network = get_model(spec.name, weights=None, **spec.arguments)
    classifier_name = [key for key, part in network.named_modules() if _is_classifier(part)][-1]
    network.set_submodule(classifier_name, nn.Identity())
    return BackboneNetwork(network, transforms.mean, transforms.std)


def _is_classifier(layer: nn.Module) -> bool:
    """Return whether a layer has an output per ImageNet class; the last such layer is the classifier."""
    output_count = getattr(layer, "out_features", getattr(layer, "out_channels", None))
    return isinstance(layer, nn.Linear | nn.Conv2d) and output_count == IMAGENET_CLASS_COUNT


def _build_timm(spec: BackboneSpec) -> BackboneNetwork:
    try:
        from timm import create_model
    except ModuleNotFoundError:
        rule = f"model.backbone={spec.name}: needs the package timm, which is not installed"
        raise UserError(f"{rule}; {weights.INSTALL_COMMAND}") from None
    return BackboneNetwork(create_model(spec.timm_name, pretrained=False, num_classes=0), TIMM_MEAN, TIMM_STD)
