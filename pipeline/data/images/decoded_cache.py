"""Decode the images of a data set in parallel into a memory-mapped cache; find unreadable files and duplicates."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.data.examples import DataError, Images
from pipeline.data.images.decode import DECODER_VERSION, DecodedImage, ignore_pillow_warnings, read_image
from pipeline.data.images.safe_open import ImageError
from pipeline.runtime.array_cache import touch
from pipeline.runtime.files import FileWriteError, atomic_path, make_folder, write_file
from pipeline.runtime.parallel import map_in_order
from pipeline.runtime.progress_bars import track
from pipeline.runtime.text import escape_unprintable

UnreadableFiles = tuple[tuple[str, str], ...]
MAX_LISTED_NAMES = 3


@dataclass(frozen=True)
class DecodedImages:
    """Decoded images of a data set.

    path_indices: int64 [N], the path of each image; unreadable: names of the other files with reasons;
    animated: names of animations; groups: int64 [N], equal for images with equal pixels.
    """

    images: Images
    path_indices: NDArray[np.int64]
    unreadable: UnreadableFiles
    animated: tuple[str, ...]
    groups: NDArray[np.int64]

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the remarks for the user: unreadable files, animations, duplicates."""
        unreadable = f"left out, since they cannot be read: {len(self.unreadable)} files"
        names = ", ".join(map(escape_unprintable, self.animated[:MAX_LISTED_NAMES]))
        if (more := len(self.animated) - MAX_LISTED_NAMES) > 0:
            names += f" and {more} more"
        animated = f"animations, of which the first frame is used: {len(self.animated)} ({names})"
        counted = [(unreadable, self.unreadable), (animated, self.animated)]
        return (*(note for note, files in counted if files), *format_duplicates_note(self.groups))


def decode_images(paths: Sequence[Path], root: Path, size: int, cache: Path, *, skip_bad: bool) -> DecodedImages:
    """Decode the images, or load them from the cache if the same files were decoded before.

    Raises DataError with every unreadable file and its reason unless `skip_bad` is set.
    """
    names = [str(path.relative_to(root)) for path in paths]
    file = cache / f"pictures-{_cache_key(paths, names, root, size)}.npy"
    job = _DecodeJob(root, os.path.realpath(root), names, size)
    with ignore_pillow_warnings():
        images, log = _load_cached(file, job) or _decode_to_cache(file, job)
    if log.bad and not skip_bad:
        lines = "\n".join(f"  {escape_unprintable(name)}: {reason}" for name, reason in log.bad)
        remedy = "fix or remove them, or go on without them: dataset.skip_bad=true"
        raise DataError(f"dataset: {len(log.bad)} of {len(paths)} files cannot be read:\n{lines}\n{remedy}")
    unreadable_names = {name for name, _ in log.bad}
    path_indices = np.array([row for row, name in enumerate(names) if name not in unreadable_names], dtype=np.int64)
    if len(path_indices) == 0:
        raise DataError(f"dataset: none of the {len(paths)} files in {root} can be read")
    return DecodedImages(images, path_indices, log.bad, log.moving, group_duplicates(images))


def group_duplicates(images: Images) -> NDArray[np.int64]:
    """Return int64 [N]: for each image the index of the first image with equal pixels."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(digest, row) for row, digest in enumerate(images.digests)], dtype=np.int64)


def format_duplicates_note(groups: NDArray[np.int64]) -> tuple[str, ...]:
    """Return a remark if some images are duplicates of others."""
    copies = len(groups) - len(np.unique(groups))
    note = f"images that are duplicates of another: {copies}; duplicates stay on one side of every split"
    return (note,) if copies else ()


def _cache_key(paths: Sequence[Path], names: Sequence[str], root: Path, size: int) -> str:
    """Return a cache key from the names, sizes and modification times of the files."""
    digest = hashlib.sha256(f"{DECODER_VERSION} {size} ".encode() + os.fsencode(os.path.realpath(root)))
    for path, name in zip(paths, names, strict=True):
        digest.update(b"\0" + os.fsencode(name))
        try:
            status = path.stat()
            digest.update(f"\0{status.st_size} {status.st_mtime_ns}".encode())
        except OSError:
            digest.update(b"\0-")
    return digest.hexdigest()[:24]


@dataclass(frozen=True)
class _DecodeJob:
    """Files to decode: a folder, its path with all links resolved, names below it, and the side of the images."""

    root: Path
    real_root: str
    names: Sequence[str]
    size: int

    def decode(self, name: str) -> DecodedImage | str:
        """Decode one file, or return the reason why not; a link out of the data set's folder is refused."""
        real = os.path.realpath(os.path.join(self.real_root, name))  # noqa: PTH118
        if os.path.commonpath([self.real_root, real]) != self.real_root:
            return "a link that leads out of the data set's folder; put the file itself there"
        try:
            return read_image(self.root / name, self.size)
        except ImageError as error:
            return str(error)


@dataclass(frozen=True)
class _DecodeLog:
    """Record beside a cached array: unreadable files with reasons, animations, and the fingerprint of the pixels."""

    bad: UnreadableFiles
    moving: tuple[str, ...]
    fingerprint: str


def _load_cached(file: Path, job: _DecodeJob) -> tuple[Images, _DecodeLog] | None:
    """Load the cached images, or return None if they are missing, damaged, or a skipped file is readable now."""
    try:
        stored = json.loads(file.with_suffix(".json").read_text())
        bad = tuple((str(name), str(reason)) for name, reason in stored["bad"])
        log = _DecodeLog(bad, tuple(map(str, stored["moving"])), str(stored["fingerprint"]))
        images = Images(np.load(file, mmap_mode="r", allow_pickle=False))
        touch(file)
    except (OSError, ValueError, TypeError, LookupError):
        return None
    shape = (len(job.names) - len(bad), 3, job.size, job.size)
    is_complete = images.pixels.shape == shape and images.pixels.dtype == np.uint8
    is_intact = is_complete and images.fingerprint == log.fingerprint
    return (images, log) if is_intact and all(isinstance(job.decode(name), str) for name, _ in bad) else None


def _decode_to_cache(file: Path, job: _DecodeJob) -> tuple[Images, _DecodeLog]:
    """Decode every file, and write the pixels and their record atomically; raise DataError if that fails."""
    unreadable: list[tuple[str, str]] = []
    animated: list[str] = []
    size = job.size
    results = track(map_in_order(job.decode, job.names), "decoding images", len(job.names))
    try:
        make_folder(file.parent)
        with atomic_path(file) as pixels, pixels.open("wb") as stream:
            _write_npy_header(stream, len(job.names), size)
            for name, result in zip(job.names, results, strict=True):
                if isinstance(result, str):
                    unreadable.append((name, result))
                else:
                    stream.write(result.pixels.tobytes())
                    animated += [name] if result.is_animated else []
            stream.seek(0)
            _write_npy_header(stream, len(job.names) - len(unreadable), size)
        if len(unreadable) == len(job.names):
            file.unlink()
            return Images(np.zeros((0, 3, size, size), np.uint8)), _DecodeLog(tuple(unreadable), tuple(animated), "")
        images = Images(np.load(file, mmap_mode="r", allow_pickle=False))
        log = _DecodeLog(tuple(unreadable), tuple(animated), images.fingerprint)
        write_file(file.with_suffix(".json"), json.dumps(asdict(log)).encode())
        return images, log
    except FileWriteError as error:
        raise DataError(f"store: decoded images are cached there: {error}") from None


def _write_npy_header(stream: BinaryIO, count: int, size: int) -> None:
    """Write the .npy header of uint8 [count, 3, size, size]; NumPy pads it to the same length for every count."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, size, size)}
    np.lib.format.write_array_header_1_0(stream, header)
