"""One picture file becomes pixels, or says why it cannot."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from pipeline.data.images.safe_open import MAX_PIXELS, PictureError, opened
from pipeline.runtime.text import shown

Pixels = NDArray[np.uint8]
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
PLAIN_WORDS = {
    "could not create decoder object": "truncated or damaged",
    "Decompressed data too large": "a text or a colour profile that unpacks to far too much",
    "Truncated File Read": "image file is truncated",
}
LONGEST_REASON = 160
VERSION = 2  # a change to how anything is decoded needs a new number, or old pixels come from the cache
LARGE = 16_000_000  # pixels; beyond, one is decoded at a time: each takes hundreds of megabytes
ONE_LARGE = Lock()


@dataclass(frozen=True)
class Picture:
    """What was read: pixels uint8 [3, size, size], RGB; moving: whether they are the first of several pictures."""

    pixels: Pixels
    moving: bool


def read(path: Path, size: int) -> Picture:
    """The whole picture, turned upright and squeezed to a square, nothing cut off.

    16-bit grey keeps its upper 8 bits, transparency lies on white, of an animation the first frame is taken.
    Raises PictureError.
    """
    with _opened(path) as picture:
        small = _decoded(picture, (size, size))
        pixels = np.asarray(small, dtype=np.uint8).transpose(2, 0, 1)
        return Picture(pixels, getattr(picture, "n_frames", 1) > 1)


def thumbnail(path: Path, side: int) -> Image.Image:
    """The whole picture as a person looks at it: upright, RGB, as large as fits into a square. Raises PictureError."""
    with _opened(path) as picture:
        larger = max(picture.width, picture.height)
        fitting = (max(1, picture.width * side // larger), max(1, picture.height * side // larger))
        return _decoded(picture, fitting)


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile]:
    """As `opened`; whatever goes wrong inside is a PictureError."""
    try:
        with opened(path) as picture:
            yield picture
    except Image.DecompressionBombError:
        raise PictureError(f"too many pixels; at most {MAX_PIXELS:,} are read") from None
    except BROKEN as error:
        raise PictureError(_reason(error)) from None


def _reason(error: Exception) -> str:
    """What the system or Pillow says, in one line; in plain words where Pillow speaks of its own parts."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first = (str(error) or type(error).__name__).splitlines()[0]
    plain = (words for beginning, words in PLAIN_WORDS.items() if first.startswith(beginning))
    return next(plain, shown(first, LONGEST_REASON))


def _decoded(picture: ImageFile, shape: tuple[int, int]) -> Image.Image:
    """Shrunk before all else: a turned or converted copy of a large picture would take its memory again."""
    whole = picture.width * picture.height
    picture.draft("RGB", shape)  # a JPEG is decoded no larger than needed; in several scans, it is
    kept = whole if picture.info.get("progressive") else picture.width * picture.height
    with ONE_LARGE if kept > LARGE else nullcontext():
        small = _shrinkable(picture).resize(shape, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return _upright(_rgb(small), _orientation(picture))


def decode(path: Path, size: int) -> Pixels:
    """uint8 [3, size, size], RGB, as `read` reads it; raises PictureError."""
    return read(path, size).pixels


def _shrinkable(picture: Image.Image) -> Image.Image:
    """The picture in a mode whose pixels can be averaged: a palette's numbers cannot."""
    picture.load()
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
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


def read_or_reason(path: Path, size: int) -> Picture | str:
    """The picture, or why there is none."""
    try:
        return read(path, size)
    except PictureError as error:
        return str(error)


def decode_or_reason(path: Path, size: int) -> Pixels | str:
    """The pixels, or why there are none."""
    found = read_or_reason(path, size)
    return found if isinstance(found, str) else found.pixels


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
