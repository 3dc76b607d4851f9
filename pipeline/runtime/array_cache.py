"""Cache arrays in memory-mapped files that end with their SHA-256, so that damage is detected."""

import hashlib
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.runtime.files import atomic_path, make_folder

DIGEST_BYTES = hashlib.sha256().digest_size


def load_cached(file: Path) -> NDArray[Any] | None:
    """Return the cached array, memory-mapped read-only, or None if it is missing or its checksum differs."""
    try:
        content = np.memmap(file, dtype=np.uint8, mode="r")
        if hashlib.sha256(content[:-DIGEST_BYTES].data).digest() != content[-DIGEST_BYTES:].tobytes():
            return None
        array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        touch(file)
    except (OSError, ValueError, EOFError):
        return None
    return array


def touch(file: Path) -> None:
    """Set the access time: the cache evicts the least recently used files first."""
    with suppress(OSError):  # another user's file is read all the same
        os.utime(file, ns=(time.time_ns(), file.stat().st_mtime_ns))


def store_cached(file: Path, shape: tuple[int, ...], dtype: DTypeLike, chunks: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Write the chunks of an array, in order, to a file atomically, and return it memory-mapped read-only.

    Raises FileWriteError. The file is written and not mapped, because a full disk kills a process that maps.
    """
    make_folder(file.parent)
    header = BytesIO()
    fields = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    digest = hashlib.sha256()
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        for content in chain([header.getvalue()], (chunk.tobytes() for chunk in chunks)):
            stream.write(content)
            digest.update(content)
        stream.write(digest.digest())
    array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    return array
