"""Pictures and class numbers in HDF5 files, under keys that the configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.config.datasets import Hdf5
from pipeline.data.examples import DataError, Examples, Pictures
from pipeline.data.files import check_regular
from pipeline.data.images.decode import resized
from pipeline.data.images.decoded_cache import copies_note, copies_share_a_group
from pipeline.runtime.text import listed_names, printable

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]
MAX_BYTES = 16_000_000_000  # a small compressed file can claim any size


def load(dataset: Hdf5) -> Examples:
    """The training file's rows, then the test file's where there is one.

    Raises DataError where a file is no HDF5 file, a key is missing, or an array is not what it should be.
    """
    keys = _keys(dataset)
    if mistakes := [line for file, typed in keys.items() for line in _missing(file, typed)]:
        raise DataError("\n".join(mistakes))
    parts = [_part(dataset.train, dataset.train_inputs, dataset.train_targets, dataset.size)]
    if dataset.test is not None:
        parts.append(_part(dataset.test, dataset.test_inputs, dataset.test_targets, dataset.size))
    pixels = np.concatenate([inputs for inputs, _ in parts])
    targets = np.concatenate([targets for _, targets in parts])
    classes = _classes(dataset, int(targets.max()) + 1)
    if targets.min() < 0 or targets.max() >= len(classes):
        found = f"{targets.min()} to {targets.max()}"
        raise DataError(f"dataset.train_targets, test_targets: numbers from 0 to {len(classes) - 1}; got {found}")
    rows = [(name, row) for name, (_, part) in zip(("train", "test"), parts, strict=False) for row in range(len(part))]
    pictures = Pictures(pixels)
    groups = copies_share_a_group(pictures)
    return Examples(
        inputs=pictures,
        targets=targets,
        kind="classes",
        names=tuple(f"{name} {row}" for name, row in rows),
        groups=groups,
        test=np.arange(len(targets)) >= len(parts[0][1]),
        classes=classes,
        notes=copies_note(groups),
    ).with_fingerprint()


def _keys(dataset: Hdf5) -> dict[Path, dict[str, str]]:
    """For each file the settings that name its arrays, and the names."""
    keys = {dataset.train: {"train_inputs": dataset.train_inputs, "train_targets": dataset.train_targets}}
    if dataset.classes is not None:
        keys[dataset.train]["classes"] = dataset.classes
    if dataset.test is not None:
        tested = {"test_inputs": dataset.test_inputs, "test_targets": dataset.test_targets}
        keys[dataset.test] = keys.get(dataset.test, {}) | tested
    return keys


def _missing(file: Path, typed: dict[str, str]) -> list[str]:
    """A line for each array that the file does not have."""
    try:
        check_regular(file)
        with h5py.File(file, "r") as opened:
            has = listed_names(opened)
            absent = [key for key, name in typed.items() if not isinstance(opened.get(name), h5py.Dataset)]
    except OSError as error:
        raise DataError(f"{file}: no HDF5 file ({str(error).splitlines()[0]})") from None
    ways_out = {"classes": " (null: the classes are called by their numbers)"}
    return [
        f"{file}: no array {typed[key]}; it has {has}: name one with dataset.{key}={ways_out.get(key, '')}"
        for key in absent
    ]


def _part(file: Path, inputs: str, targets: str, size: int) -> Part:
    """The pictures uint8 [N, 3, size, size] and class numbers [N] of one file."""
    with h5py.File(file, "r") as opened:
        pictures, numbers = opened[inputs], opened[targets]
        _check_shapes(file, pictures, numbers)
        pixels, codes = _read(file, pictures), _read(file, numbers)
    squeezed: NDArray[np.uint8] = np.ascontiguousarray(resized(pixels, size).transpose(0, 3, 1, 2))
    return squeezed, codes.reshape(-1).astype(np.int64)


def _check_shapes(file: Path, pictures: h5py.Dataset, numbers: h5py.Dataset) -> None:
    """Looks at what the arrays say they are, before anything is read."""
    mistakes = []
    if pictures.dtype != np.uint8 or len(pictures.shape) != 4 or pictures.shape[3] != 3 or 0 in pictures.shape:
        mistakes.append(f"{pictures.name[1:]}: pictures are uint8 [N, H, W, 3]; got {_found(pictures)}")
    elif pictures.nbytes > MAX_BYTES:
        mistakes.append(f"{pictures.name[1:]}: at most {MAX_BYTES:,} bytes are read; got {pictures.nbytes:,}")
    elif numbers.dtype.kind not in "iu" or numbers.size != len(pictures):
        rule = f"a class number for each of {len(pictures)} pictures"
        mistakes.append(f"{numbers.name[1:]}: {rule}; got {_found(numbers)}")
    if mistakes:
        raise DataError("\n".join(f"{file}: {line}" for line in mistakes))


def _found(array: h5py.Dataset) -> str:
    return f"{array.dtype} {list(array.shape or ())}"


def _read(file: Path, array: h5py.Dataset) -> NDArray[Any]:
    try:
        return np.asarray(array[()])
    except (OSError, MemoryError) as error:
        raise DataError(f"{file}: {array.name[1:]} cannot be read ({str(error).splitlines()[0]})") from None


def _classes(dataset: Hdf5, count: int) -> tuple[str, ...]:
    """The classes' names where the file has them, otherwise their numbers."""
    if dataset.classes is None:
        return tuple(map(str, range(count)))
    with h5py.File(dataset.train, "r") as opened:
        names = _read(dataset.train, opened[dataset.classes]).reshape(-1).tolist()
    texts = (name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names)
    classes = tuple(map(printable, texts))
    if len(set(classes)) < len(classes):
        raise DataError(f"{dataset.train}: {dataset.classes}: each class once; got {listed_names(classes)}")
    return classes
