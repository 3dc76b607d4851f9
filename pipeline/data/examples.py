"""Dataclasses for examples: inputs and targets as NumPy arrays, before any preprocessing is fitted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.datasets import TargetKind
from pipeline.data.date_columns import DateColumn
from pipeline.runtime.errors import UserError

if TYPE_CHECKING:
    from pipeline.config.model import FinetunePart


class DataError(UserError):
    """Error in the user's data; the message states the rule, the value found and what to do."""


@dataclass(frozen=True)
class Images:
    """Decoded images; pixels: uint8 [N, 3, H, W], RGB, which may be memory-mapped (read only)."""

    pixels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def digests(self) -> tuple[bytes, ...]:
        """Return the SHA-256 of each image's pixels; cached, since duplicates and the fingerprint both need them."""
        return tuple(hashlib.sha256(np.ascontiguousarray(row).data).digest() for row in self.pixels)

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of all digests and of the image shape."""
        return hashlib.sha256(repr(self.pixels.shape[1:]).encode() + b"".join(self.digests)).hexdigest()

    def take(self, indices: NDArray[np.int64]) -> Images:
        """Select images in the given order."""
        return Images(self.pixels[indices])


@dataclass(frozen=True)
class BackboneActivations:
    """Cached inputs of the part of a backbone that is finetuned.

    part: the finetuned part; views: for each view the activations [M, ...] of all images, memory-mapped.
    indices: int64 [N], the rows of `views` in this subset.
    weights: the pretrained parameters of the part, by name.
    """

    part: FinetunePart
    views: tuple[NDArray[Any], ...]
    indices: NDArray[np.int64]
    weights: Mapping[str, NDArray[Any]]

    def take(self, indices: NDArray[np.int64]) -> BackboneActivations:
        """Select images in the given order without reading their activations."""
        return replace(self, indices=self.indices[indices])


@dataclass(frozen=True)
class BackboneFeatures:
    """Features that a pretrained backbone computes from images.

    views: for each view of the images float32 [N, feature_count], possibly memory-mapped; empty for a trained model
    that reads `activations`.
    backbone, weights_sha256: the network that computed them; image_size: the side of its input images.
    activations: the inputs of the finetuned part of the backbone, if there is one.
    """

    views: tuple[NDArray[np.float32], ...]
    backbone: str
    weights_sha256: str
    image_size: int
    activations: BackboneActivations | None = None

    def __len__(self) -> int:
        return len(self.views[0] if self.activations is None else self.activations.indices)

    @property
    def feature_count(self) -> int:
        """Return the number of features of an image."""
        return int(self.views[0].shape[1])

    def mean_over_views(self) -> NDArray[np.float32]:
        """Return float32 [N, feature_count]: the mean of each image's features over its views."""
        total = np.array(self.views[0])
        for view in self.views[1:]:
            total += view
        return total / np.float32(len(self.views))

    def take(self, indices: NDArray[np.int64]) -> BackboneFeatures:
        """Select images in the given order."""
        activations = None if self.activations is None else self.activations.take(indices)
        return replace(self, views=tuple(view[indices] for view in self.views), activations=activations)


@dataclass(frozen=True)
class Table:
    """Input columns of a table before scaling, imputation and one-hot encoding.

    numbers: float32 [N, D], NaN where a number is missing; number_names: its D column names.
    codes: int64 [N, C], an index into that column's levels, -1 where a category is missing;
    category_names: its C column names; levels: for each category column its level names, sorted.
    dates: the columns of the file that some of the numbers stand for.
    """

    numbers: NDArray[np.float32]
    number_names: tuple[str, ...]
    codes: NDArray[np.int64]
    category_names: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    dates: tuple[DateColumn, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, indices: NDArray[np.int64]) -> Table:
        """Select rows in the given order."""
        return replace(self, numbers=self.numbers[indices], codes=self.codes[indices])


RawInputs = Images | BackboneFeatures | Table


@dataclass(frozen=True)
class Examples:
    """Data set of N rows, ready to be split.

    targets: int64 [N] codes into `classes` (kind "classes"), float32 [N, L] of 0 and 1 ("labels"),
        or float32 [N] in the target's own unit ("numbers").
    names: N names for people: a path below the data set's root, or a row number.
    groups: int64 [N]; rows of one group never straddle a split (duplicates, one house sold twice).
    test_mask: bool [N], True for the rows of the data set's own test part; all False if it has none.
    classes: the names of the classes or labels; empty for numbers.
    is_synthetic: True if this program generated the examples.
    notes: one-line remarks for the user, shown before training starts.
    """

    inputs: RawInputs
    targets: NDArray[np.int64] | NDArray[np.float32]
    target_kind: TargetKind
    names: tuple[str, ...]
    groups: NDArray[np.int64]
    test_mask: NDArray[np.bool_]
    classes: tuple[str, ...] = ()
    is_synthetic: bool = False
    notes: tuple[str, ...] = ()
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, indices: NDArray[np.int64]) -> Examples:
        """Select rows in the given order and recompute the fingerprint."""
        return replace(
            self,
            inputs=self.inputs.take(indices),
            targets=self.targets[indices],
            names=tuple(self.names[row] for row in indices),
            groups=self.groups[indices],
            test_mask=self.test_mask[indices],
        ).with_fingerprint()

    def with_fingerprint(self) -> Examples:
        """Return a copy whose fingerprint is the SHA-256 of its content: the data, never paths or times."""
        digest = hashlib.sha256()
        arrays: list[NDArray[Any]] = []
        if isinstance(self.inputs, Images):
            digest.update(self.inputs.fingerprint.encode())
        elif isinstance(self.inputs, Table):
            arrays = [self.inputs.numbers, self.inputs.codes]
            digest.update(repr((self.inputs.number_names, self.inputs.category_names, self.inputs.levels)).encode())
        digest.update(repr((self.target_kind, self.classes)).encode())
        for array in [*arrays, self.targets, self.groups, self.test_mask]:
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return replace(self, fingerprint=digest.hexdigest())
