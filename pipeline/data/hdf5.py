"""Pictures and class numbers in HDF5 files, under keys that the configuration names."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.config.datasets import Hdf5
from pipeline.data.examples import DataError, Examples, Pictures
from pipeline.data.pictures import copies_share_a_group

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def load(dataset: Hdf5) -> Examples:
    """The training file's rows, then the test file's where there is one.

    Raises DataError where a file is no HDF5 file, a key is missing, or an array is not what it should be.
    """
    parts = [_part(dataset.train, dataset.train_inputs, dataset.train_targets, dataset.size)]
    if dataset.test is not None:
        parts.append(_part(dataset.test, dataset.test_inputs, dataset.test_targets, dataset.size))
    pixels = np.concatenate([inputs for inputs, _ in parts])
    targets = np.concatenate([targets for _, targets in parts])
    classes = _classes(dataset, int(targets.max()) + 1)
    if targets.min() < 0 or targets.max() >= len(classes):
        found = f"{targets.min()} to {targets.max()}"
        raise DataError(f"dataset.train_targets: numbers from 0 to {len(classes) - 1}; got {found}")
    rows = [(name, row) for name, (_, part) in zip(("train", "test"), parts, strict=False) for row in range(len(part))]
    return Examples(
        inputs=Pictures(pixels),
        targets=targets,
        kind="classes",
        names=tuple(f"{name} {row}" for name, row in rows),
        groups=copies_share_a_group(pixels),
        test=np.arange(len(targets)) >= len(parts[0][1]),
        classes=classes,
    ).with_fingerprint()


def _part(file: Path, inputs: str, targets: str, size: int) -> Part:
    pictures, numbers = np.asarray(_read(file, inputs)), np.asarray(_read(file, targets))
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
        found = f"{pictures.dtype} {list(pictures.shape)}"
        raise DataError(f"{file}: {inputs}: pictures are uint8 [N, H, W, 3]; got {found}")
    if numbers.dtype.kind not in "iu" or numbers.size != len(pictures):
        found = f"{numbers.dtype} {list(numbers.shape)}"
        raise DataError(f"{file}: {targets}: a class number for each of {len(pictures)} pictures; got {found}")
    return _sized(pictures, size).transpose(0, 3, 1, 2).copy(), numbers.reshape(-1).astype(np.int64)


def _read(file: Path, key: str) -> h5py.Dataset:
    try:
        with h5py.File(file, "r") as opened:
            if key not in opened or not isinstance(opened[key], h5py.Dataset):
                keys = ", ".join(opened)
                raise DataError(f"{file}: no array {key}; it has {keys} (dataset.*_inputs and *_targets name them)")
            return opened[key][()]
    except OSError as error:
        raise DataError(f"{file}: no HDF5 file ({str(error).splitlines()[0]})") from None


def _sized(pictures: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if pictures.shape[1:3] == (size, size):
        return pictures
    resized = [Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR) for picture in pictures]
    return np.stack([np.asarray(picture) for picture in resized])


def _classes(dataset: Hdf5, count: int) -> tuple[str, ...]:
    """The classes' names where the file has them, otherwise their numbers."""
    if dataset.classes is None:
        return tuple(map(str, range(count)))
    names = np.asarray(_read(dataset.train, dataset.classes)).reshape(-1).tolist()
    return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)
