"""All the pictures of a data set, decoded in parallel and kept memory-mapped, with the bad files and the copies."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.data.examples import DataError, Pictures
from pipeline.data.images.decode import VERSION, Picture, read_or_reason, without_warnings
from pipeline.runtime.array_cache import used
from pipeline.runtime.files import NotWrittenError, make_folder, moved_whole, write_whole
from pipeline.runtime.parallel import in_order
from pipeline.runtime.progress_bars import watched
from pipeline.runtime.text import printable

Bad = tuple[tuple[str, str], ...]
SHOWN = 3


@dataclass(frozen=True)
class Decoded:
    """The pictures that could be read.

    kept: which of the paths they are; bad: the others, with the reason; moving: the names of animations;
    groups: int64 [N], equal pictures share one.
    """

    pictures: Pictures
    kept: NDArray[np.int64]
    bad: Bad
    moving: tuple[str, ...]
    groups: NDArray[np.int64]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about them."""
        left_out = (f"left out, since they cannot be read: {len(self.bad)} files",) if self.bad else ()
        return left_out + _moving_note(self.moving) + copies_note(self.groups)


def decode_all(paths: Sequence[Path], root: Path, size: int, cache: Path, *, skip_bad: bool) -> Decoded:
    """Every picture, from the cache where the same files were decoded before.

    Raises DataError with every bad file and its reason, unless they are to be skipped.
    """
    names = [str(path.relative_to(root)) for path in paths]
    file = cache / f"pictures-{_listing(paths, names, root, size)}.npy"
    scan = _Scan(root, names, size)
    with without_warnings():
        pictures, found = _cached(file, scan) or _decode_into(file, scan)
    bad = found.bad
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
    return Decoded(pictures, kept, bad, found.moving, copies_share_a_group(pictures))


def copies_share_a_group(pictures: Pictures) -> NDArray[np.int64]:
    """int64 [N]: the row of the first picture with equal pixels."""
    first: dict[bytes, int] = {}
    numbered = enumerate(pictures.digests)
    return np.array([first.setdefault(digest, number) for number, digest in numbered], dtype=np.int64)


def copies_note(groups: NDArray[np.int64]) -> tuple[str, ...]:
    """A remark where pictures are copies of others."""
    copies = len(groups) - len(np.unique(groups))
    said = f"pictures that are copies of another: {copies}; copies stay on one side of every split"
    return (said,) if copies else ()


def _moving_note(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    said = ", ".join(map(printable, names[:SHOWN]))
    return (f"animations, of which the first picture is taken: {len(names)} ({said}{more})",)


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


@dataclass(frozen=True)
class _Scan:
    """What is to be read: the names below a folder, and the side of the pictures."""

    root: Path
    names: Sequence[str]
    size: int

    @cached_property
    def real_root(self) -> str:
        """The folder itself, whatever links lead to it."""
        return os.path.realpath(self.root)

    def read(self, name: str) -> Picture | str:
        """A picture or a reason; a link may not lead out of the data set, where a stranger's folder has no business."""
        real = os.path.realpath(os.path.join(self.real_root, name))  # noqa: PTH118
        if os.path.commonpath([self.real_root, real]) != self.real_root:
            return "a link that leads out of the data set's folder; put the file itself there"
        return read_or_reason(self.root / name, self.size)

    def pictures(self) -> Iterator[Picture | str]:
        """For each name its picture or a reason, in order; with a bar where someone is looking."""
        yield from watched(in_order(self.read, self.names), "decoding pictures", len(self.names))


@dataclass(frozen=True)
class _Found:
    """What there is to say of the files: the bad ones with their reasons, the animations, and what the pixels are."""

    bad: Bad
    moving: tuple[str, ...]
    fingerprint: str

    @classmethod
    def read(cls, file: Path) -> _Found:
        """What an earlier call kept; raises OSError, ValueError, TypeError or LookupError."""
        kept = json.loads(file.read_text())
        bad = tuple((str(name), str(why)) for name, why in kept["bad"])
        return cls(bad, tuple(map(str, kept["moving"])), str(kept["fingerprint"]))


def _cached(file: Path, scan: _Scan) -> tuple[Pictures, _Found] | None:
    """What an earlier call decoded; None where there is nothing, nothing whole, or a bad file can be read by now."""
    try:
        found = _Found.read(file.with_suffix(".json"))
        pictures = Pictures(np.load(file, mmap_mode="r", allow_pickle=False))
        used(file)
    except (OSError, ValueError, TypeError, LookupError):
        return None
    shape = (len(scan.names) - len(found.bad), 3, scan.size, scan.size)
    whole = pictures.pixels.shape == shape and pictures.pixels.dtype == np.uint8
    if not whole or pictures.fingerprint != found.fingerprint:
        return None
    return (pictures, found) if all(isinstance(scan.read(name), str) for name, _ in found.bad) else None


def _decode_into(file: Path, scan: _Scan) -> tuple[Pictures, _Found]:
    """Decodes every file and keeps the result beside what there is to say; each is written whole or not at all.

    Raises DataError where the cache cannot be written.
    """
    bad: list[tuple[str, str]] = []
    moving: list[str] = []
    count, size = len(scan.names), scan.size
    try:
        make_folder(file.parent)
        with moved_whole(file) as pixels, pixels.open("wb") as stream:
            _write_header(stream, count, size)
            for name, result in zip(scan.names, scan.pictures(), strict=True):
                if isinstance(result, str):
                    bad.append((name, result))
                    continue
                stream.write(result.pixels.tobytes())
                if result.moving:
                    moving.append(name)
            stream.seek(0)
            _write_header(stream, count - len(bad), size)
        if len(bad) == count:
            file.unlink()
            return Pictures(np.zeros((0, 3, size, size), np.uint8)), _Found(tuple(bad), tuple(moving), "")
        pictures = Pictures(np.load(file, mmap_mode="r", allow_pickle=False))
        found = _Found(tuple(bad), tuple(moving), pictures.fingerprint)
        write_whole(file.with_suffix(".json"), json.dumps(asdict(found)).encode())
        return pictures, found
    except NotWrittenError as error:
        raise DataError(f"store: decoded pictures are kept there: {error}") from None


def _write_header(stream: BinaryIO, count: int, size: int) -> None:
    """The .npy header of uint8 [count, 3, size, size]; NumPy makes it equally long for every count."""
    described = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, size, size)}
    np.lib.format.write_array_header_1_0(stream, described)
