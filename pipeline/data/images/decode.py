"""Decode an image file into an array of pixels."""

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

from pipeline.data.images.safe_open import MAX_IMAGE_PIXELS, ImageError, open_image
from pipeline.runtime.errors import first_line
from pipeline.runtime.text import shorten

Pixels = NDArray[np.uint8]
EXIF_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
EXIF_ORIENTATION = 0x0112
DECODE_ERRORS = (  # what Pillow raises for files that are damaged, or made to do harm
    OSError, ValueError, TypeError, SyntaxError, LookupError, ArithmeticError, AttributeError, EOFError,
    NotImplementedError, MemoryError, struct.error, zlib.error,
)  # fmt: skip
PLAIN_MESSAGES = {
    "could not create decoder object": "truncated or damaged",
    "Decompressed data too large": "a text or a color profile that unpacks to far too much",
    "Truncated File Read": "image file is truncated",
}
MAX_REASON_CHARS = 160
DECODER_VERSION = 2  # a change to how anything is decoded needs a new number, or old pixels come from the cache
LARGE_IMAGE_PIXELS = 16_000_000  # pixels; beyond, one is decoded at a time: each takes hundreds of megabytes
LARGE_IMAGE_LOCK = Lock()


@dataclass(frozen=True)
class DecodedImage:
    """Decoded image; pixels: uint8 [3, size, size], RGB; is_animated: whether the file has more frames."""

    pixels: Pixels
    is_animated: bool


def read_image(path: Path, size: int) -> DecodedImage:
    """Decode an image, rotate it upright by its EXIF tag and resize it to a square without cropping.

    16-bit gray keeps its upper 8 bits, transparent pixels are blended with white, and only the first frame of an
    animation is read. Raises ImageError.
    """
    with _open_image(path) as image:
        pixels = np.asarray(_decode_resized(image, (size, size)), dtype=np.uint8).transpose(2, 0, 1)
        return DecodedImage(pixels, getattr(image, "n_frames", 1) > 1)


def read_thumbnail(path: Path, side: int) -> Image.Image:
    """Decode an image upright, in RGB and in its own aspect ratio, scaled to fit into a square. Raises ImageError."""
    with _open_image(path) as image:
        longer_side = max(image.width, image.height)
        fitted_size = (max(1, image.width * side // longer_side), max(1, image.height * side // longer_side))
        return _decode_resized(image, fitted_size)


@contextmanager
def _open_image(path: Path) -> Iterator[ImageFile]:
    """Open an image as `open_image` does, and convert every decoding error inside the context to ImageError."""
    try:
        with open_image(path) as image:
            yield image
    except Image.DecompressionBombError:
        raise ImageError(f"too many pixels; at most {MAX_IMAGE_PIXELS:,} are read") from None
    except DECODE_ERRORS as error:
        raise ImageError(_describe_error(error)) from None


def _describe_error(error: Exception) -> str:
    """Return the error of the system or of Pillow in one line; Pillow's internal terms are replaced."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    reason = first_line(error)
    plain = (text for beginning, text in PLAIN_MESSAGES.items() if reason.startswith(beginning))
    return next(plain, shorten(reason, MAX_REASON_CHARS))


def _decode_resized(image: ImageFile, target_size: tuple[int, int]) -> Image.Image:
    """Resize before rotating and converting: a converted copy of a large image would take its memory again."""
    full_pixels = image.width * image.height
    image.draft("RGB", target_size)  # a JPEG is decoded no larger than needed; in several scans, it is
    decoded_pixels = full_pixels if image.info.get("progressive") else image.width * image.height
    with LARGE_IMAGE_LOCK if decoded_pixels > LARGE_IMAGE_PIXELS else nullcontext():
        resized = _resize(_to_resizable_mode(image), target_size)
    if resized.mode in ("LA", "RGBA"):
        rgba = resized.convert("RGBA")
        resized = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return _rotate_upright(resized.convert("RGB"), image)


def _resize(image: Image.Image, target_size: tuple[int, int]) -> Image.Image:
    return image.resize(target_size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _to_resizable_mode(image: Image.Image) -> Image.Image:
    """Convert to a mode whose pixel values can be averaged; palette indices cannot."""
    image.load()
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if "transparency" in image.info or image.mode == "PA":
        return image.convert("RGBA")
    return image.convert("RGB") if image.mode in ("1", "P") else image


def _rotate_upright(image: Image.Image, file: ImageFile) -> Image.Image:
    """Transpose by the file's EXIF orientation; without one, or with damaged EXIF data, return the image as it is."""
    try:
        orientation = int(file.getexif().get(EXIF_ORIENTATION, 1))
    except DECODE_ERRORS:
        return image
    return image.transpose(EXIF_TRANSPOSES[orientation]) if orientation in EXIF_TRANSPOSES else image


def read_pixels_or_error(path: Path, size: int) -> Pixels | str:
    """Return the pixels, or the reason why the image cannot be decoded."""
    try:
        return read_image(path, size).pixels
    except ImageError as error:
        return str(error)


@contextmanager
def ignore_pillow_warnings() -> Iterator[None]:
    """Ignore Pillow's warnings of damaged EXIF data: such an image is decoded all the same."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def resize_pixels(pixels: Pixels, size: int) -> Pixels:
    """Resize uint8 [N, H, W, 3] to uint8 [N, 3, size, size] with the filter of `read_image`."""
    if pixels.shape[1:3] != (size, size):
        pixels = np.stack([np.asarray(_resize(Image.fromarray(image), (size, size))) for image in pixels])
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
