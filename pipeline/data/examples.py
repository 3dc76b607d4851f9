"""What every data set becomes: one frozen parcel of inputs and targets, in NumPy, with nothing learned from it yet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.runtime.errors import UserError

if TYPE_CHECKING:
    from pipeline.config.model import FinetunePart

TargetKind = Literal["classes", "labels", "numbers"]


class DataError(UserError):
    """Data that cannot be used: the rule, what was found, and the way out, ready to be shown to a person."""


@dataclass(frozen=True)
class Images:
    """Decoded pictures.

    pixels: uint8 [N, 3, H, W], RGB; may be memory-mapped (read only).
    """

    pixels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def digests(self) -> tuple[bytes, ...]:
        """The SHA-256 of each picture's pixels: looked at once, for copies, and for the name of it all."""
        return tuple(hashlib.sha256(np.ascontiguousarray(row).data).digest() for row in self.pixels)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of them all, and of their shape."""
        return hashlib.sha256(repr(self.pixels.shape[1:]).encode() + b"".join(self.digests)).hexdigest()

    def take(self, indices: NDArray[np.int64]) -> Images:
        """Some of the pictures, in the given order."""
        return Images(self.pixels[indices])


@dataclass(frozen=True)
class BackboneActivations:
    """What the part of a backbone reads that is trained along.

    part: which; views: for each view of all pictures [M, ...], memory-mapped; rows: int64 [N], which of them these are.
    weights: the published numbers of the part, by name.
    """

    part: FinetunePart
    views: tuple[NDArray[Any], ...]
    indices: NDArray[np.int64]
    weights: Mapping[str, NDArray[Any]]

    def take(self, indices: NDArray[np.int64]) -> BackboneActivations:
        """Some of the pictures, in the given order; nothing is read yet."""
        return replace(self, indices=self.indices[indices])


@dataclass(frozen=True)
class BackboneFeatures:
    """What a pretrained backbone makes of pictures.

    views: for each view of the pictures float32 [N, count]; may be memory-mapped (read only); none for a trained model
    that reads `deep`.
    backbone, weights_sha256: what computed them; size: the side of the pictures it saw.
    deep: where a part of the backbone is trained along, what that part reads.
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
        """How many numbers a picture became."""
        return int(self.views[0].shape[1])

    def mean_over_views(self) -> NDArray[np.float32]:
        """float32 [N, count]: each picture's mean over its views."""
        total = np.array(self.views[0])
        for view in self.views[1:]:
            total += view
        return total / np.float32(len(self.views))

    def take(self, indices: NDArray[np.int64]) -> BackboneFeatures:
        """Some of the pictures, in the given order."""
        activations = None if self.activations is None else self.activations.take(indices)
        return replace(self, views=tuple(view[indices] for view in self.views), activations=activations)


@dataclass(frozen=True)
class Table:
    """The input columns of a table, as they were read: nothing is scaled, imputed or one-hot encoded yet.

    numbers: float32 [N, D], NaN where a number is missing; number_names: its D column names.
    codes: int64 [N, C], an index into that column's levels, -1 where a category is missing;
    category_names: its C column names; levels: for each category column its level names, sorted.
    """

    numbers: NDArray[np.float32]
    number_names: tuple[str, ...]
    codes: NDArray[np.int64]
    category_names: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, indices: NDArray[np.int64]) -> Table:
        """Some of the rows, in the given order."""
        return replace(self, numbers=self.numbers[indices], codes=self.codes[indices])


RawInputs = Images | BackboneFeatures | Table


@dataclass(frozen=True)
class Examples:
    """A data set of N rows, ready to be split.

    targets: int64 [N] codes into `classes` (kind "classes"), float32 [N, L] of 0 and 1 ("labels"),
        or float32 [N] in the target's own unit ("numbers").
    names: N names for people: a path below the data set's root, or a row number.
    groups: int64 [N]; rows of one group never straddle a split (duplicates, one house sold twice).
    test: bool [N], True where the data set itself says the row is for testing; all False where it does not say.
    classes: the names of the classes or labels; empty for numbers.
    drawn: True where the program made the examples itself.
    notes: one-line remarks a person should see before training starts.
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
        """Some of the rows, in the given order, with a fingerprint of their own."""
        names = tuple(self.names[row] for row in indices)
        return replace(
            self,
            inputs=self.inputs.take(indices),
            targets=self.targets[indices],
            names=names,
            groups=self.groups[indices],
            test_mask=self.test_mask[indices],
        ).with_fingerprint()

    def with_fingerprint(self) -> Examples:
        """The same examples, named by the SHA-256 of their content: bytes of the data, never paths or times."""
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
