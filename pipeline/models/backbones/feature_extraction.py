"""What a pretrained backbone makes of pictures: computed once, a view at a time, and kept for all searches."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch import nn

from pipeline.config.backbone_catalogue import PRETRAINED
from pipeline.config.model import Backbone, Part, Tail
from pipeline.data.examples import DataError, Deep, Features, Pictures
from pipeline.models.backbones import split, weights
from pipeline.models.backbones.architectures import Body, build
from pipeline.models.backbones.views import view
from pipeline.preprocessing import FeatureInputs
from pipeline.runtime.array_cache import keep, kept
from pipeline.runtime.files import NotWrittenError, make_folder
from pipeline.runtime.progress_bars import watched

VERSION = 1  # a change to a view, or to how one is looked at, needs a new number, or old features come from the cache
AT_ONCE = 32  # pictures
Seen = Literal["outputs", "last", "all"]  # what is kept: its outputs, or what the part reads that is trained along


@dataclass(frozen=True)
class Frozen:
    """A pretrained backbone that looks at pictures: which, with which weights, on which device.

    part: which part of it is trained along later, if one is: what that part reads is kept as well.
    """

    name: str
    file: Path
    device: torch.device
    part: Part | None = None

    @classmethod
    def of(cls, backbone: Backbone, cache: Path, device: torch.device) -> Frozen:
        """The one that a search names; its weights are fetched where they have to be. Raises DataError."""
        return cls(backbone.name, weights.find(backbone, cache), device, backbone.part)

    @classmethod
    def of_model(cls, layout: FeatureInputs, tail: Tail | None, file: Path | None, cache: Path) -> Frozen:
        """The one that a trained model looks through, on the CPU.

        tail: the part of it that was trained along; file: of its weights, if they are not the published ones.
        Raises DataError where the weights are not at hand, or are others than in the search.
        """
        frozen = cls.of(Backbone(layout.backbone, file, tail.part if tail else "none"), cache, torch.device("cpu"))
        if frozen.sha256 != layout.weights_sha256:
            raise DataError(
                f"weights: the file that {layout.backbone} had in the search (its SHA-256 begins with "
                f"{layout.weights_sha256[:12]}); got {frozen.file} ({frozen.sha256[:12]})"
            )
        return frozen

    @cached_property
    def sha256(self) -> str:
        """Of the file of its weights."""
        return weights.sha256(self.file)

    @cached_property
    def body(self) -> Body:
        """The network; made only where there is something to compute."""
        return build(self.name, self.file).to(self.device)

    @cached_property
    def stem(self) -> nn.Module:
        """What comes before the part that is trained along: of all of it, nothing does."""
        assert self.part is not None
        return split.stem(self.body, Tail(self.name, self.part)) or nn.Identity()

    @cached_property
    def published(self) -> Mapping[str, NDArray[Any]]:
        """The numbers of the part that is trained along, by name."""
        assert self.part is not None
        tail = split.trained(self.body, Tail(self.name, self.part))
        return {name: value.cpu().contiguous().numpy() for name, value in tail.state_dict().items()}

    def look(self, pictures: Pictures, views: int) -> Features:
        """What a trained model reads of a few pictures: features, or what the part reads that was trained along."""

        def now(seen: Seen) -> tuple[NDArray[Any], ...]:
            return tuple(np.concatenate(list(self._outputs(pictures, number, seen))) for number in range(views))

        deep = self._deep(pictures, now)
        return self._features(pictures, now("outputs") if deep is None else (), deep)

    def features(self, pictures: Pictures, views: int, cache: Path) -> Features:
        """The features of a data set, from the cache where the same backbone saw the same pictures before.

        One process computes a view, the others wait for it. Raises DataError where the cache cannot be written, or the
        GPU's memory does not hold what is computed.
        """

        def at_hand(seen: Seen) -> tuple[NDArray[Any], ...]:
            return tuple(self._view(pictures, number, views, seen, cache) for number in range(views))

        try:
            return self._features(pictures, at_hand("outputs"), self._deep(pictures, at_hand))
        except NotWrittenError as error:
            raise DataError(f"store: features are kept there: {error}") from None
        except torch.OutOfMemoryError as error:
            raise DataError(
                f"compute: {self.name} looks at {AT_ONCE} pictures at once, which the GPU's memory does not hold "
                f"({weights.reason(error)}); use compute=cpu, or smaller pictures (dataset.size=)"
            ) from None

    def _features(self, pictures: Pictures, views: tuple[NDArray[Any], ...], deep: Deep | None) -> Features:
        return Features(views, self.name, self.sha256, int(pictures.pixels.shape[-1]), deep)

    def _deep(self, pictures: Pictures, seen: Callable[[Seen], tuple[NDArray[Any], ...]]) -> Deep | None:
        if self.part is None:
            return None
        return Deep(self.part, seen(self.part), np.arange(len(pictures)), self.published)

    def _view(self, pictures: Pictures, number: int, views: int, seen: Seen, cache: Path) -> NDArray[Any]:
        words = f"{VERSION} {pictures.fingerprint} {self.name} {self.sha256} {number} {seen}"
        file = cache / f"features-{hashlib.sha256(words.encode()).hexdigest()[:24]}.npy"
        found = kept(file)
        if found is not None and len(found) == len(pictures):
            return found
        with _alone(cache):
            found = kept(file)  # of a process that was waited for
            if found is not None and len(found) == len(pictures):
                return found
            first = self._first(pictures, seen)
            shape = (len(pictures), *first.shape[1:])
            return keep(file, shape, first.dtype, self._shown(pictures, number, views, seen))

    def _first(self, pictures: Pictures, seen: Seen) -> NDArray[Any]:
        """What the first picture becomes; looked at, where pictures of another size are needed."""
        try:
            return next(self._outputs(pictures.take(np.arange(1)), 0, seen))
        except (RuntimeError, AssertionError, ValueError) as error:
            side, own = pictures.pixels.shape[-1], PRETRAINED[self.name]
            if side == own or isinstance(error, torch.OutOfMemoryError):
                raise
            raise DataError(
                f"dataset.size: {self.name} is made for {own}; got {side} ({weights.reason(error)})"
            ) from None

    def _shown(self, pictures: Pictures, number: int, views: int, seen: Seen) -> Iterator[NDArray[Any]]:
        """The outputs, with a bar where someone is looking, and otherwise a line."""
        said = f"{self.name} looks at {len(pictures):,} pictures"
        said += f", view {number + 1} of {views}" if views > 1 else ""
        if not sys.stdout.isatty():
            print(f"{said}, once for all searches", flush=True)
        return watched(self._outputs(pictures, number, seen), said, len(pictures), len)

    def _outputs(self, pictures: Pictures, number: int, seen: Seen) -> Iterator[NDArray[Any]]:
        """[n, ...] of a few pictures after the other, in full precision whatever the device is."""
        looks = self.body if seen == "outputs" else self.stem
        for begin in range(0, len(pictures), AT_ONCE):
            part = torch.from_numpy(np.array(pictures.pixels[begin : begin + AT_ONCE])).to(self.device)
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                outputs: NDArray[Any] = looks(view(part, number)).contiguous().cpu().numpy()
            yield outputs


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Inside, one process at a time computes features; whoever has to wait says so."""
    make_folder(cache)
    lock = FileLock(cache / ".features.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("another search computes features; waiting for it", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
