"""Picture files become pixels: decoded once, in parallel, and kept memory-mapped; what cannot be read says why."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.progress import track

from pipeline.data.examples import DataError, Pictures

Pixels = NDArray[np.uint8]
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
OTHER_SUFFIXES = frozenset({".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".svg", ".psd", ".eps", ".ico", ".jp2"})
MAX_PIXELS = 64_000_000
VERSION = 1


class PictureError(Exception):
    """A picture that cannot be read: the reason, in a few words."""


def decode(path: Path, size: int) -> Pixels:
    """uint8 [3, size, size], RGB: the whole picture, turned upright and squeezed to a square, nothing cut off.

    16-bit grey keeps its upper 8 bits, transparency lies on white, of an animation the first frame is taken.
    Raises PictureError.
    """
    _check_file(path)
    try:
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise PictureError(f"{picture.width} x {picture.height} pixels; at most {MAX_PIXELS:,} are read")
            picture.draft("RGB", (size, size))
            upright = _rgb(ImageOps.exif_transpose(picture))
            small = upright.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    except UnidentifiedImageError:
        raise PictureError(f"not a picture of a format that is read ({', '.join(FORMATS)})") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, MemoryError) as error:
        raise PictureError(str(error).splitlines()[0] if str(error) else type(error).__name__) from None
    return np.asarray(small, dtype=np.uint8).transpose(2, 0, 1)


def _check_file(path: Path) -> None:
    """Only a regular file is opened: a pipe or a device would wait for ever."""
    if path.suffix.lower() in OTHER_SUFFIXES:
        raise PictureError(f"{path.suffix} is not read; {', '.join(FORMATS)} are")
    try:
        status = path.stat()
    except OSError as error:
        raise PictureError(error.strerror or "cannot be opened") from None
    if not stat.S_ISREG(status.st_mode):
        raise PictureError("not a regular file")
    if status.st_size == 0:
        raise PictureError("empty file")


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        high = np.asarray(picture, dtype=np.int64) >> 8
        return Image.fromarray(high.clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return picture.convert("RGB")


def decode_or_reason(path: Path, size: int) -> Pixels | str:
    """The pixels, or why there are none."""
    try:
        return decode(path, size)
    except PictureError as error:
        return str(error)


def decode_some(paths: Sequence[Path], size: int) -> list[Pixels | str]:
    """For each path its pixels, or why there are none; decoded in parallel."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda path: decode_or_reason(path, size), paths))


def is_picture(path: Path) -> bool:
    """Whether a file's name says that it is a picture, read by us or not."""
    return path.suffix.lower() in SUFFIXES | OTHER_SUFFIXES


def listed(paths: Iterable[Path]) -> list[Path]:
    """The files themselves, and for a folder the pictures in it and below, in order."""
    return [file for path in paths for file in (pictures_below(path) if path.is_dir() else [path])]


def pictures_below(folder: Path) -> list[Path]:
    """The pictures in a folder and below it, in order; not in hidden folders, nor behind links to folders."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [path for name in files if is_picture(path := Path(parent, name)) and not name.startswith(".")]
    return sorted(found)


@dataclass(frozen=True)
class Decoded:
    """The pictures that could be read.

    kept: which of the paths they are; bad: the others, with the reason; groups: int64 [N], equal pictures share one.
    """

    pictures: Pictures
    kept: NDArray[np.int64]
    bad: tuple[tuple[str, str], ...]
    groups: NDArray[np.int64]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about them."""
        notes = [f"left out, since they cannot be read: {len(self.bad)} files"] if self.bad else []
        if copies := len(self.groups) - len(np.unique(self.groups)):
            notes.append(f"pictures that are copies of another: {copies}; copies stay on one side of every split")
        return tuple(notes)


def decode_all(paths: Sequence[Path], root: Path, size: int, cache: Path, *, skip_bad: bool) -> Decoded:
    """Every picture, from the cache where the same files were decoded before.

    Raises DataError with every bad file and its reason, unless they are to be skipped.
    """
    names = [str(path.relative_to(root)) for path in paths]
    file = cache / f"pictures-{_listing(paths, names, size)}.npy"
    pixels, bad = _cached(file, len(paths), size) or _decode_into(file, paths, names, size)
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


def printable(name: str) -> str:
    """A name from outside, with everything that is no printable character escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)


def copies_share_a_group(pixels: Pixels) -> NDArray[np.int64]:
    """int64 [N]: the row of the first picture with equal pixels."""
    first: dict[bytes, int] = {}
    digests = (hashlib.sha256(row.tobytes()).digest() for row in pixels)
    return np.array([first.setdefault(digest, number) for number, digest in enumerate(digests)], dtype=np.int64)


def _listing(paths: Sequence[Path], names: Sequence[str], size: int) -> str:
    """A name for exactly these files, by their names, sizes and times of change."""
    digest = hashlib.sha256(f"{VERSION} {size} {paths[0].parent.resolve() if paths else ''}".encode())
    for path, name in zip(paths, names, strict=True):
        try:
            status = path.stat()
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
        except OSError:
            digest.update(f"{name}\0-\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:24]


def _cached(file: Path, count: int, size: int) -> tuple[Pixels, tuple[tuple[str, str], ...]] | None:
    """What an earlier call decoded; None where there is nothing, or nothing whole."""
    try:
        bad = tuple((str(name), str(reason)) for name, reason in json.loads(file.with_suffix(".json").read_text()))
        pixels = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    whole = pixels.shape == (count - len(bad), 3, size, size) and pixels.dtype == np.uint8
    return (pixels, bad) if whole else None


def _decode_into(
    file: Path, paths: Sequence[Path], names: Sequence[str], size: int
) -> tuple[Pixels, tuple[tuple[str, str], ...]]:
    """Decodes every file and keeps the result beside the list of bad ones; each file is written whole or not at all."""
    good, bad = [], []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda path: decode_or_reason(path, size), paths)
        shown = track(results, "decoding", len(paths), transient=True, disable=not sys.stdout.isatty())
        for name, result in zip(names, shown, strict=True):
            if isinstance(result, str):
                bad.append((name, result))
            else:
                good.append(result)
    pixels = np.stack(good) if good else np.zeros((0, 3, size, size), np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with temporary.open("wb") as stream:
        np.save(stream, pixels)
    temporary.replace(file)
    reasons = temporary.with_suffix(".reasons")
    reasons.write_text(json.dumps(bad))
    reasons.replace(file.with_suffix(".json"))
    return np.load(file, mmap_mode="r", allow_pickle=False), tuple(bad)
