"""Feature extraction by a pretrained backbone: computed once, a view at a time, and cached for all searches."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch import nn

from pipeline.config.backbone_catalogue import BACKBONES
from pipeline.config.model import BackboneConfig, FinetunePart, FinetuneSpec
from pipeline.data.examples import BackboneActivations, BackboneFeatures, Images
from pipeline.models.backbones import split, weights
from pipeline.models.backbones.architectures import BackboneNetwork, build_backbone
from pipeline.models.backbones.views import apply_view
from pipeline.preprocessing import FeatureInputs
from pipeline.runtime.array_cache import load_cached, store_cached
from pipeline.runtime.errors import UserError, first_line
from pipeline.runtime.files import FileWriteError, make_folder
from pipeline.runtime.progress_bars import track

FEATURE_CACHE_VERSION = 1  # increase it with every change to views or preprocessing, so that no stale features are read
EXTRACTION_BATCH_SIZE = 32  # images
ExtractionPoint = Literal["outputs", "last", "all"]  # the backbone's outputs, or the inputs of its finetuned part
Views = tuple[NDArray[Any], ...]  # an array for each view of the images


@dataclass(frozen=True)
class PretrainedBackbone:
    """A pretrained backbone with its weights file, on a device.

    part: the part that is finetuned later, if any; the activations at its input are extracted too.
    """

    name: str
    weights_file: Path
    device: torch.device
    part: FinetunePart | None = None

    @classmethod
    def from_config(cls, backbone: BackboneConfig, cache: Path, device: torch.device) -> PretrainedBackbone:
        """Return the backbone of a search, downloading its weights if necessary; raises UserError."""
        return cls(backbone.name, weights.find_weights(backbone, cache), device, backbone.finetune_part)

    @classmethod
    def from_trained_model(
        cls, inputs: FeatureInputs, spec: FinetuneSpec | None, weights_file: Path | None, cache: Path
    ) -> PretrainedBackbone:
        """Return the backbone of a trained model on the CPU.

        spec: its finetuned part, if any. weights_file: its weights, if they are not the published ones.
        Raises UserError if the weights are missing or are not those of the search.
        """
        config = BackboneConfig(inputs.backbone, weights_file, spec.part if spec else "none")
        backbone = cls.from_config(config, cache, torch.device("cpu"))
        if backbone.weights_sha256 != inputs.weights_sha256:
            raise UserError(
                f"weights: must be the file that {inputs.backbone} had in the search (its SHA-256 begins with "
                f"{inputs.weights_sha256[:12]}); got {backbone.weights_file} ({backbone.weights_sha256[:12]})"
            )
        return backbone

    @cached_property
    def weights_sha256(self) -> str:
        """Return the SHA-256 of the weights file."""
        return weights.compute_file_sha256(self.weights_file)

    @cached_property
    def network(self) -> BackboneNetwork:
        """Return the network, built on first use: cached features need none."""
        return build_backbone(self.name, self.weights_file).to(self.device)

    @cached_property
    def stem(self) -> nn.Module:
        """Return the modules before the finetuned part, or the identity if all of the backbone is finetuned."""
        assert self.part is not None
        return split.build_stem(self.network, FinetuneSpec(self.name, self.part))

    @cached_property
    def tail_weights(self) -> Mapping[str, NDArray[Any]]:
        """Return the pretrained tensors of the finetuned part by name."""
        assert self.part is not None
        tail = split.build_tail(self.network, FinetuneSpec(self.name, self.part))
        return {name: value.cpu().contiguous().numpy() for name, value in tail.state_dict().items()}

    def extract(self, images: Images, view_count: int) -> BackboneFeatures:
        """Extract the inputs of a trained model from a few images: features, or activations if it was finetuned."""

        def compute_views(point: ExtractionPoint) -> Views:
            batches = [list(self._compute_outputs(images, view_index, point)) for view_index in range(view_count)]
            return tuple(map(np.concatenate, batches))

        return self._build_features(images, compute_views("outputs") if self.part is None else (), compute_views)

    def load_or_extract(self, images: Images, view_count: int, cache: Path) -> BackboneFeatures:
        """Return the features of a data set, from the cache if it has those of the same backbone and images.

        One process computes a view while others wait for it. Raises UserError if the cache cannot be written or the
        GPU's memory is too small.
        """

        def load_views(point: ExtractionPoint) -> Views:
            return tuple(self._load_view(images, index, view_count, point, cache) for index in range(view_count))

        try:
            return self._build_features(images, load_views("outputs"), load_views)
        except FileWriteError as error:
            raise UserError(f"store: cannot cache features there: {error}") from None
        except torch.OutOfMemoryError as error:
            rule = (
                f"compute: {self.name} reads {EXTRACTION_BATCH_SIZE} images at a time, which exceeds the GPU's memory"
            )
            remedy = "use compute=cpu, or smaller images (dataset.size=)"
            raise UserError(f"{rule} ({first_line(error)[:160]}); {remedy}") from None

    def _build_features(
        self, images: Images, outputs: Views, get_views: Callable[[ExtractionPoint], Views]
    ) -> BackboneFeatures:
        activations = None
        if self.part is not None:
            rows = np.arange(len(images))
            activations = BackboneActivations(self.part, get_views(self.part), rows, self.tail_weights)
        return BackboneFeatures(outputs, self.name, self.weights_sha256, int(images.pixels.shape[-1]), activations)

    def _load_view(self, images: Images, index: int, count: int, point: ExtractionPoint, cache: Path) -> NDArray[Any]:
        """Load a view's outputs from the cache, or compute and store them."""
        key = f"{FEATURE_CACHE_VERSION} {images.fingerprint} {self.name} {self.weights_sha256} {index} {point}"
        file = cache / f"features-{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"
        cached = load_cached(file)
        if cached is not None and len(cached) == len(images):
            return cached
        with _exclusive_lock(cache):
            cached = load_cached(file)  # another process may have computed it meanwhile
            if cached is not None and len(cached) == len(images):
                return cached
            first = self._compute_first_output(images, point)
            batches = self._compute_view(images, index, count, point)
            return store_cached(file, (len(images), *first.shape[1:]), first.dtype, batches)

    def _compute_first_output(self, images: Images, point: ExtractionPoint) -> NDArray[Any]:
        """Compute the output of the first image; raises UserError if the network rejects its size."""
        try:
            return next(self._compute_outputs(images.take(np.arange(1)), 0, point))
        except (RuntimeError, AssertionError, ValueError) as error:
            size = images.pixels.shape[-1]
            pretrained_size = BACKBONES[self.name].image_size
            if size == pretrained_size or isinstance(error, torch.OutOfMemoryError):
                raise
            rule = f"dataset.size: {self.name} is made for {pretrained_size}"
            raise UserError(f"{rule}; got {size} ({first_line(error)[:160]})") from None

    def _compute_view(self, images: Images, index: int, count: int, point: ExtractionPoint) -> Iterator[NDArray[Any]]:
        """Compute the outputs with a progress bar on a terminal, otherwise after one printed line."""
        message = f"{self.name} extracts features of {len(images):,} images"
        message += f", view {index + 1} of {count}" if count > 1 else ""
        if not sys.stdout.isatty():
            print(f"{message}, once for all searches", flush=True)
        return track(self._compute_outputs(images, index, point), message, len(images), len)

    def _compute_outputs(self, images: Images, view_index: int, point: ExtractionPoint) -> Iterator[NDArray[Any]]:
        """Yield outputs [n, ...] batch by batch, without TF32, so that devices agree to rounding."""
        module = self.network if point == "outputs" else self.stem
        for start in range(0, len(images), EXTRACTION_BATCH_SIZE):
            batch = torch.from_numpy(np.array(images.pixels[start : start + EXTRACTION_BATCH_SIZE])).to(self.device)
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                outputs: NDArray[Any] = module(apply_view(batch, view_index)).contiguous().cpu().numpy()
            yield outputs


def _exclusive_lock(cache: Path) -> AbstractContextManager[object]:
    """Acquire the lock under which one process at a time computes features; print a line if it must wait."""
    make_folder(cache)
    lock = FileLock(cache / ".features.lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print("another search computes features; waiting for it", flush=True)
        return lock.acquire()
