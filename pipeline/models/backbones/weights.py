"""Pretrained weights: from a file that the user names, an installed package, or a download into the cache."""

import hashlib
import re
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path

import torch
from torch import Tensor

from pipeline.config.backbone_catalogue import BACKBONES, BackboneSpec
from pipeline.config.model import BackboneConfig
from pipeline.data.sources.fetch import download
from pipeline.runtime.array_cache import touch
from pipeline.runtime.errors import UserError, first_line

INSTALL_COMMAND = "pip install 'layers-and-nodes[pretrained]'"
FILE_HASH_PATTERN = re.compile(r"-([0-9a-f]{8,})\.pth$")  # published files have the start of their SHA-256 in the name


def find_weights(backbone: BackboneConfig, cache: Path) -> Path:
    """Return the file of a backbone's weights, downloaded into `cache` if it is not found elsewhere.

    Raises UserError if there is none, or if its SHA-256 does not match the hash in its name.
    """
    if backbone.weights is not None:
        file = backbone.weights
    elif (spec := BACKBONES[backbone.name]).weights_package:
        file = _find_packaged_file(spec)
    else:
        file = _find_or_download(backbone.name, cache)
    _check_file_hash(file)
    return file


def _find_packaged_file(spec: BackboneSpec) -> Path:
    try:
        with as_file(files(spec.weights_package) / "models" / spec.weights_file) as file:
            return file
    except ModuleNotFoundError:
        package = spec.weights_package.replace("_", "-")
        rule = f"model.backbone={spec.name}: needs the package {package}, which is not installed"
        remedy = f"{INSTALL_COMMAND}, or name a file: model.weights={spec.weights_file}"
        raise UserError(f"{rule}; {remedy}") from None


def _find_or_download(name: str, cache: Path) -> Path:
    """Return the published file from `cache`, from torch's hub directory, or by downloading it into `cache`."""
    from torchvision.models import get_model_weights

    url = get_model_weights(name).DEFAULT.url
    file = cache / "weights" / Path(url).name
    torch_hub_file = Path(torch.hub.get_dir(), "checkpoints", file.name)
    if file.is_file():
        touch(file)
        return file
    if torch_hub_file.is_file():
        return torch_hub_file
    remedy = (
        f"search once with a network, or name the file of {url}: model.weights={file.name}, or use "
        f"model.backbone=efficientnet_lite0, which needs no network ({INSTALL_COMMAND})"
    )
    known_hash = f"sha256:{FILE_HASH_PATTERN.findall(file.name)[0]}"
    download(url, file, known_hash, f"model.backbone={name}: cannot download its weights", remedy)
    return file


def _check_file_hash(file: Path) -> None:
    """Raise UserError if the file's SHA-256 does not begin with the hash in its name."""
    match = FILE_HASH_PATTERN.search(file.name)
    if match and not (digest := compute_file_sha256(file)).startswith(match[1]):
        rule = f"model.weights: {file} is damaged, or is not the file that its name says"
        begin = f"its SHA-256 begins with {digest[: len(match[1])]}"
        raise UserError(f"{rule} ({begin}); remove it, or rename it if it is another one")


def compute_file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file; raises UserError if it cannot be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"model.weights: {file}: {error.strerror}") from None


def load_weights(file: Path) -> Mapping[str, Tensor]:
    """Load a state dict from a .safetensors file or from torch's format without running code; raises UserError."""
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state_dict = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 -- an untrusted file may fail in any way
        rule = "model.weights: must be a state dict, as torch or safetensors write it"
        raise UserError(f"{rule}; got {file} ({first_line(error)[:160]})") from None
    if not isinstance(state_dict, Mapping) or not all(isinstance(value, Tensor) for value in state_dict.values()):
        raise UserError(f"model.weights: must be a state dict; got something else in {file}")
    return state_dict
