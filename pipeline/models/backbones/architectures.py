"""A pretrained network without its last layer: pictures go in, numbers come out. The only file that makes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.config.backbone_catalogue import LITE
from pipeline.data.examples import DataError
from pipeline.models.backbones import weights
from pipeline.models.backbones.weights import EXTRA

CLASSES = 1000  # of ImageNet
AS_PUBLISHED = {  # what the published weights of these two were trained with
    "googlenet": {"aux_logits": True, "transform_input": True, "init_weights": False},
    "inception_v3": {"transform_input": True, "init_weights": False},
}


class Body(nn.Module):
    """A pretrained network up to its last layer, with its preprocessing.

    Reads uint8 [N, 3, H, W], RGB, and gives float [N, count]. Always as in evaluation: no dropout, and batch norm with
    the statistics of its pretraining.
    """

    def __init__(self, network: nn.Module, mean: Sequence[float], spread: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.mean = nn.Buffer(torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.spread = nn.Buffer(torch.tensor(spread).view(1, 3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        outputs: Tensor = self.network(self.scaled(pictures))
        return outputs.flatten(1).float()

    def scaled(self, pictures: Tensor) -> Tensor:
        """uint8 [N, 3, H, W] as the network reads it."""
        scaled = (pictures.float() / 255 - self.mean) / self.spread
        return scaled.contiguous(memory_format=torch.channels_last)


def build(name: str, file: Path) -> Body:
    """The body of a pretrained network with the weights of a file; raises DataError where they are not its own."""
    body = skeleton(name)
    state = weights.read(file)
    if name == LITE:
        state = _renamed(state, body.network)
    wanted = body.network.state_dict()
    if wrong := [key for key, value in wanted.items() if key not in state or state[key].shape != value.shape]:
        some = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        raise DataError(f"model.weights: those of {name}, {len(wanted)} tensors; {file} lacks {some}")
    body.network.load_state_dict({key: state[key] for key in wanted})
    return body.eval().to(memory_format=torch.channels_last)


def skeleton(name: str) -> Body:
    """The body of a pretrained network, without its weights."""
    return _lite() if name == LITE else _torchvision(name)


def _torchvision(name: str) -> Body:
    from torchvision.models import get_model, get_model_weights

    preset = get_model_weights(name).DEFAULT.transforms()
    network = get_model(name, weights=None, **AS_PUBLISHED.get(name, {}))
    last = [key for key, part in network.named_modules() if _classifies(part)][-1]
    network.set_submodule(last, nn.Identity())
    return Body(network, preset.mean, preset.std)


def _classifies(part: nn.Module) -> bool:
    """Whether a layer gives a number a class; a network's last such one is its classifier."""
    outputs = getattr(part, "out_features", getattr(part, "out_channels", None))
    return isinstance(part, nn.Linear | nn.Conv2d) and outputs == CLASSES


def _lite() -> Body:
    try:
        from timm import create_model
    except ModuleNotFoundError:
        raise DataError(f"model.backbone={LITE}: the package timm runs it, which is not there; {EXTRA}") from None
    return Body(create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0), [0.5] * 3, [0.5] * 3)


def _renamed(state: Mapping[str, Tensor], network: nn.Module) -> Mapping[str, Tensor]:
    """Weights under the names that timm has for them; the packaged file has others, in the same order."""
    names = network.state_dict().keys()
    return state if names <= state.keys() else dict(zip(names, state.values(), strict=False))
