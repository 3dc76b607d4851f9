"""Load images and class codes from HDF5 files."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.config.datasets import Hdf5, TargetKind
from pipeline.data.examples import DataError, Examples, Images
from pipeline.data.images.decode import resize_pixels
from pipeline.data.images.decoded_cache import format_duplicates_note, group_duplicates
from pipeline.runtime.errors import first_line
from pipeline.runtime.files import check_regular_file
from pipeline.runtime.text import escape_unprintable, join_names

MAX_ARRAY_BYTES = 16_000_000_000  # a small compressed file can claim any size


def load_hdf5(dataset: Hdf5, _target_kind: TargetKind, _cache: Path) -> Examples:
    """Load the rows of the training file, then those of the test file if the dataset has one.

    Images are uint8 [N, H, W, 3], class codes integers [N]. Raises DataError if a file is not HDF5, a key is missing,
    or an array has another shape or type.
    """
    keys = _array_names(dataset)
    if mistakes := [line for file, typed in keys.items() for line in _find_missing_arrays(file, typed)]:
        raise DataError("\n".join(mistakes))
    parts = [_read_split(dataset.train, dataset.train_inputs, dataset.train_targets, dataset.size)]
    if dataset.test is not None:
        parts.append(_read_split(dataset.test, dataset.test_inputs, dataset.test_targets, dataset.size))
    images = Images(np.concatenate([pixels for pixels, _ in parts]))
    groups = group_duplicates(images)
    targets = np.concatenate([targets for _, targets in parts])
    classes = _read_class_names(dataset, int(targets.max()) + 1)
    if targets.min() < 0 or targets.max() >= len(classes):
        value_range = f"{targets.min()} to {targets.max()}"
        raise DataError(f"dataset.train_targets, test_targets: numbers from 0 to {len(classes) - 1}; got {value_range}")
    rows = [(name, row) for name, (_, part) in zip(("train", "test"), parts, strict=False) for row in range(len(part))]
    return Examples(
        inputs=images,
        targets=targets,
        target_kind="classes",
        names=tuple(f"{name} {row}" for name, row in rows),
        groups=groups,
        test_mask=np.arange(len(targets)) >= len(parts[0][1]),
        classes=classes,
        notes=format_duplicates_note(groups),
    ).with_fingerprint()


def _array_names(dataset: Hdf5) -> dict[Path, dict[str, str]]:
    """Return for each file its settings and the array names in them."""
    names = {dataset.train: {"train_inputs": dataset.train_inputs, "train_targets": dataset.train_targets}}
    if dataset.classes is not None:
        names[dataset.train]["classes"] = dataset.classes
    if dataset.test is not None:
        names.setdefault(dataset.test, {}).update(test_inputs=dataset.test_inputs, test_targets=dataset.test_targets)
    return names


def _find_missing_arrays(file: Path, array_names: dict[str, str]) -> list[str]:
    """Return a message for each array that the file lacks."""
    try:
        check_regular_file(file)
        with h5py.File(file, "r") as h5_file:
            available = join_names(h5_file)
            absent = [key for key, name in array_names.items() if not isinstance(h5_file.get(name), h5py.Dataset)]
    except OSError as error:
        raise DataError(f"{file}: no HDF5 file ({first_line(error)})") from None
    hints = {"classes": " (null: the classes are called by their numbers)"}
    found = f"it has {available}: name one with"
    return [f"{file}: no array {array_names[key]}; {found} dataset.{key}={hints.get(key, '')}" for key in absent]


def _read_split(file: Path, inputs: str, targets: str, size: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the images uint8 [N, 3, size, size] and class codes int64 [N] of one file."""
    with h5py.File(file, "r") as h5_file:
        _check_arrays(file, h5_file[inputs], h5_file[targets])
        pixels = _read_array(file, h5_file[inputs])
        codes = _read_array(file, h5_file[targets])
    return resize_pixels(pixels, size), codes.reshape(-1).astype(np.int64)


def _check_arrays(file: Path, images: h5py.Dataset, class_codes: h5py.Dataset) -> None:
    """Check shapes and types of the arrays before any data are read."""
    if images.dtype != np.uint8 or len(images.shape) != 4 or images.shape[3] != 3 or 0 in images.shape:
        raise DataError(f"{file}: {images.name[1:]}: images are uint8 [N, H, W, 3]; got {_describe_array(images)}")
    if images.nbytes > MAX_ARRAY_BYTES:
        rule = f"at most {MAX_ARRAY_BYTES:,} bytes are read"
        raise DataError(f"{file}: {images.name[1:]}: {rule}; got {images.nbytes:,}")
    if class_codes.dtype.kind not in "iu" or class_codes.size != len(images):
        rule = f"a class number for each of {len(images)} images"
        raise DataError(f"{file}: {class_codes.name[1:]}: {rule}; got {_describe_array(class_codes)}")


def _describe_array(array: h5py.Dataset) -> str:
    return f"{array.dtype} {list(array.shape or ())}"


def _read_array(file: Path, array: h5py.Dataset) -> NDArray[Any]:
    try:
        return np.asarray(array[()])
    except (OSError, MemoryError) as error:
        raise DataError(f"{file}: {array.name[1:]} cannot be read ({first_line(error)})") from None


def _read_class_names(dataset: Hdf5, count: int) -> tuple[str, ...]:
    """Read the class names if the file has them, or else use the class codes as names."""
    if dataset.classes is None:
        return tuple(map(str, range(count)))
    with h5py.File(dataset.train, "r") as h5_file:
        names = _read_array(dataset.train, h5_file[dataset.classes]).reshape(-1).tolist()
    texts = (name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names)
    classes = tuple(map(escape_unprintable, texts))
    if len(set(classes)) < len(classes):
        raise DataError(f"{dataset.train}: {dataset.classes}: each class once; got {join_names(classes)}")
    return classes
