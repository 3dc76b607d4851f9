"""One picture file becomes pixels, or says why it cannot; which files of a folder are pictures."""

from __future__ import annotations

import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

Pixels = NDArray[np.uint8]
FORMATS = "JPEG, PNG, WEBP, BMP"
BEGINNINGS: dict[bytes, type[ImageFile]] = {
    b"\xff\xd8\xff": JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"RIFF": WebPImageFile,
    b"BM": BmpImageFile,
}
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
OTHER_SUFFIXES = frozenset({".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".svg", ".psd", ".eps", ".ico", ".jp2"})
MAX_PIXELS = 64_000_000
MAX_BYTES = 300_000_000
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
EXIF_ORIENTATION = 0x0112
BROKEN = (  # what Pillow raises for files that are damaged, or made to do harm
    OSError, ValueError, TypeError, SyntaxError, LookupError, ArithmeticError, AttributeError, EOFError,
    NotImplementedError, MemoryError, struct.error, zlib.error,
)  # fmt: skip
LONGEST_REASON = 160
VERSION = 2  # a change to how anything is decoded needs a new number, or old pixels come from the cache


class PictureError(Exception):
    """A picture that cannot be read: the reason, in a few words."""


def decode(path: Path, size: int) -> Pixels:
    """uint8 [3, size, size], RGB: the whole picture, turned upright and squeezed to a square, nothing cut off.

    16-bit grey keeps its upper 8 bits, transparency lies on white, of an animation the first frame is taken.
    Raises PictureError.
    """
    _check_file(path)
    try:
        with path.open("rb") as stream, _opened(stream) as picture:
            # shrunk before all else: a turned or converted copy of a large picture would take its memory again
            picture.draft("RGB", (size, size))
            shape = (size, size)
            small = _shrinkable(picture).resize(shape, Image.Resampling.BILINEAR, reducing_gap=2.0)
            upright = _upright(_rgb(small), _orientation(picture))
    except Image.DecompressionBombError:
        raise PictureError(f"too many pixels; at most {MAX_PIXELS:,} are read") from None
    except BROKEN as error:
        lines = str(error).splitlines()
        raise PictureError(printable(lines[0])[:LONGEST_REASON] if lines else type(error).__name__) from None
    return np.asarray(upright, dtype=np.uint8).transpose(2, 0, 1)


def _check_file(path: Path) -> None:
    """Only a regular file is opened: a pipe or a device would wait for ever."""
    if path.suffix.lower() in OTHER_SUFFIXES:
        raise PictureError(f"{path.suffix} is not read; {FORMATS} are")
    try:
        status = path.stat()
    except OSError as error:
        raise PictureError(error.strerror or "cannot be opened") from None
    except ValueError as error:
        raise PictureError(str(error)) from None
    if stat.S_ISDIR(status.st_mode):
        raise PictureError("a folder that cannot be listed" if not os.access(path, os.R_OK) else "a folder")
    if not stat.S_ISREG(status.st_mode):
        raise PictureError("not a regular file")
    if status.st_size == 0:
        raise PictureError("empty file")
    if status.st_size > MAX_BYTES:
        raise PictureError(f"{status.st_size:,} bytes; at most {MAX_BYTES:,} are read")


def _opened(stream: BinaryIO) -> ImageFile:
    """The header of a picture, by its first bytes, whatever its name says; nothing is decoded yet.

    Image.open is not used: it warns of large pictures on its own terms, and tries formats that we did not ask for.
    """
    start = stream.read(8)
    stream.seek(0)
    kind = next((kind for beginning, kind in BEGINNINGS.items() if start.startswith(beginning)), None)
    if kind is None:
        raise PictureError(f"not a picture of a format that is read ({FORMATS})")
    try:
        picture = kind(stream)
    except SyntaxError:
        raise PictureError("damaged at its beginning") from None
    if picture.width * picture.height > MAX_PIXELS:
        raise PictureError(f"{picture.width} x {picture.height} pixels; at most {MAX_PIXELS:,} are read")
    return picture


def _shrinkable(picture: Image.Image) -> Image.Image:
    """The picture in a mode whose pixels can be averaged: a palette's numbers cannot."""
    picture.load()
    if picture.mode.startswith("I"):
        high = np.asarray(picture, dtype=np.int64) >> 8
        return Image.fromarray(high.clip(0, 255).astype(np.uint8))
    if "transparency" in picture.info or picture.mode == "PA":
        return picture.convert("RGBA")
    return picture.convert("RGB") if picture.mode in ("1", "P") else picture


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode in ("LA", "RGBA"):
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return picture.convert("RGB")


def _orientation(picture: Image.Image) -> int:
    """How the camera was held, by EXIF; a picture whose EXIF is damaged is still a picture."""
    try:
        return int(picture.getexif().get(EXIF_ORIENTATION, 1))
    except BROKEN:
        return 1


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture


def decode_or_reason(path: Path, size: int) -> Pixels | str:
    """The pixels, or why there are none."""
    try:
        return decode(path, size)
    except PictureError as error:
        return str(error)


def decode_some(paths: Sequence[Path], size: int) -> list[Pixels | str]:
    """For each path its pixels, or why there are none; decoded in parallel."""
    with without_warnings(), ThreadPoolExecutor(processors()) as pool:
        return list(pool.map(decode_or_reason, paths, repeat(size)))


@contextmanager
def without_warnings() -> Iterator[None]:
    """Without Pillow's warnings of damaged EXIF: such a picture is read all the same, and nobody can act on them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def processors() -> int:
    """How many this process may use: a container's share, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resized(pixels: Pixels, size: int) -> Pixels:
    """uint8 [N, H, W, 3] to [N, size, size, 3], as pictures from files are resized."""
    if pixels.shape[1:3] == (size, size):
        return pixels
    shape = (size, size)
    smaller = [
        Image.fromarray(picture).resize(shape, Image.Resampling.BILINEAR, reducing_gap=2.0) for picture in pixels
    ]
    return np.stack([np.asarray(picture) for picture in smaller])


def is_picture(path: Path) -> bool:
    """Whether a file's name says that it is a picture, read by us or not."""
    return path.suffix.lower() in SUFFIXES | OTHER_SUFFIXES


def listed(paths: Iterable[Path]) -> list[Path]:
    """The files themselves, and for a folder the pictures in it and below, in order."""
    return [file for path in paths for file in (pictures_below(path) if path.is_dir() else [path])]


def pictures_below(folder: Path) -> list[Path]:
    """The pictures in a folder and below it, in order; not in hidden folders, nor behind links to folders.

    A folder that may not be listed stands for itself, so that it is said and not passed over.
    """
    closed: list[Path] = []
    found = []
    for parent, folders, files in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [path for name in files if is_picture(path := Path(parent, name)) and not name.startswith(".")]
    return sorted(found + closed)


def printable(name: str) -> str:
    """A name from outside, with everything that is no printable character escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)
