"""All the pictures of a data set, decoded in parallel and kept memory-mapped, with the bad files and the copies."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from pipeline.data.examples import DataError, Pictures
from pipeline.data.pictures import VERSION, Pixels, decode_or_reason, printable, processors, without_warnings

Bad = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Decoded:
    """The pictures that could be read.

    kept: which of the paths they are; bad: the others, with the reason; groups: int64 [N], equal pictures share one.
    """

    pictures: Pictures
    kept: NDArray[np.int64]
    bad: Bad
    groups: NDArray[np.int64]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about them."""
        left_out = (f"left out, since they cannot be read: {len(self.bad)} files",) if self.bad else ()
        return left_out + copies_note(self.groups)


def decode_all(paths: Sequence[Path], root: Path, size: int, cache: Path, *, skip_bad: bool) -> Decoded:
    """Every picture, from the cache where the same files were decoded before.

    Raises DataError with every bad file and its reason, unless they are to be skipped.
    """
    names = [str(path.relative_to(root)) for path in paths]
    file = cache / f"pictures-{_listing(paths, names, root, size)}.npy"
    pixels, bad = _cached(file, root, len(paths), size) or _decode_into(file, root, names, size)
    if bad and not skip_bad:
        lines = "\n".join(f"  {printable(name)}: {reason}" for name, reason in bad)
        raise DataError(
            f"dataset: {len(bad)} of {len(paths)} files cannot be read:\n{lines}\n"
            "mend or remove them, or go on without them: dataset.skip_bad=true"
        )
    left_out = {name for name, _ in bad}
    kept = np.array([row for row, name in enumerate(names) if name not in left_out], dtype=np.int64)
    if len(kept) == 0:
        raise DataError(f"dataset: none of the {len(paths)} files in {root} can be read")
    return Decoded(Pictures(pixels), kept, bad, copies_share_a_group(pixels))


def copies_share_a_group(pixels: Pixels) -> NDArray[np.int64]:
    """int64 [N]: the row of the first picture with equal pixels."""
    first: dict[bytes, int] = {}
    digests = (hashlib.sha256(row.tobytes()).digest() for row in pixels)
    return np.array([first.setdefault(digest, number) for number, digest in enumerate(digests)], dtype=np.int64)


def copies_note(groups: NDArray[np.int64]) -> tuple[str, ...]:
    """A remark where pictures are copies of others."""
    copies = len(groups) - len(np.unique(groups))
    said = f"pictures that are copies of another: {copies}; copies stay on one side of every split"
    return (said,) if copies else ()


def _listing(paths: Sequence[Path], names: Sequence[str], root: Path, size: int) -> str:
    """A name for exactly these files, by their names, sizes and times of change."""
    digest = hashlib.sha256(f"{VERSION} {size} ".encode() + os.fsencode(os.path.realpath(root)))
    for path, name in zip(paths, names, strict=True):
        digest.update(b"\0" + os.fsencode(name))
        try:
            status = path.stat()
            digest.update(f"\0{status.st_size} {status.st_mtime_ns}".encode())
        except OSError:
            digest.update(b"\0-")
    return digest.hexdigest()[:24]


def _cached(file: Path, root: Path, count: int, size: int) -> tuple[Pixels, Bad] | None:
    """What an earlier call decoded; None where there is nothing, nothing whole, or a bad file can be read by now."""
    try:
        bad = tuple((str(name), str(reason)) for name, reason in json.loads(file.with_suffix(".json").read_text()))
        pixels = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, TypeError):
        return None
    whole = pixels.shape == (count - len(bad), 3, size, size) and pixels.dtype == np.uint8
    if not whole or not all(isinstance(_decode_inside(root, name, size), str) for name, _ in bad):
        return None
    return pixels, bad


def _decode_inside(root: Path, name: str, size: int) -> Pixels | str:
    """Pixels or a reason; a link may not lead out of the data set, where a stranger's folder has no business."""
    real_root, real = os.path.realpath(root), os.path.realpath(root / name)
    if os.path.commonpath([real_root, real]) != real_root:
        return "a link that leads out of the data set's folder; put the file itself there"
    return decode_or_reason(root / name, size)


def _decode_into(file: Path, root: Path, names: Sequence[str], size: int) -> tuple[Pixels, Bad]:
    """Decodes every file and keeps the result beside the list of bad ones; each is written whole or not at all.

    Raises DataError where the cache cannot be written.
    """
    bad: list[tuple[str, str]] = []
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{file.stem}-", dir=file.parent) as folder:
            pixels, reasons = Path(folder, "pixels"), Path(folder, "reasons")
            with without_warnings(), pixels.open("wb") as stream:
                _write_header(stream, len(names), size)
                for name, result in zip(names, _decoded(root, names, size), strict=True):
                    if isinstance(result, str):
                        bad.append((name, result))
                    else:
                        stream.write(result.tobytes())
                stream.seek(0)
                _write_header(stream, len(names) - len(bad), size)
                os.fsync(stream.fileno())
            if len(bad) == len(names):
                return np.zeros((0, 3, size, size), np.uint8), tuple(bad)
            reasons.write_text(json.dumps(bad))
            pixels.replace(file)
            reasons.replace(file.with_suffix(".json"))
        return np.load(file, mmap_mode="r", allow_pickle=False), tuple(bad)
    except OSError as error:
        raise DataError(f"store: decoded pictures are kept in {file.parent}, which fails: {error.strerror}") from None


def _write_header(stream: BinaryIO, count: int, size: int) -> None:
    """The .npy header of uint8 [count, 3, size, size]; NumPy makes it equally long for every count."""
    described = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, size, size)}
    np.lib.format.write_array_header_1_0(stream, described)


def _decoded(root: Path, names: Sequence[str], size: int) -> Iterator[Pixels | str]:
    """For each name its pixels or a reason, in order; with a bar where someone is looking."""
    pool = ThreadPoolExecutor(processors())
    try:
        results = pool.map(_decode_inside, repeat(root), names, repeat(size))
        yield from track(results, "decoding", len(names), transient=True, disable=not sys.stdout.isatty())
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted search does not decode the rest first
