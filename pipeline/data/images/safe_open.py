"""Open untrusted image files: regular files of four formats, with limits on what is read."""

import mmap
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from itertools import islice
from pathlib import Path

from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

SUPPORTED_FORMATS = "JPEG, PNG, WEBP, BMP"
IMAGE_CLASSES_BY_MAGIC: dict[bytes, type[ImageFile]] = {
    b"\xff\xd8\xff": JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"RIFF": WebPImageFile,
    b"BM": BmpImageFile,
}
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
UNSUPPORTED_SUFFIXES = frozenset(
    {".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".svg", ".psd", ".eps", ".ico", ".jp2"}
)
MAX_IMAGE_PIXELS = 64_000_000
MAX_FILE_BYTES = 300_000_000
MAX_READ_BYTES = 16_000_000  # what stands before the pixels, and each part after: a profile, a thumbnail, a text
MAX_WEBP_BYTES = 64_000_000  # a WEBP is read whole, and copied once
MAX_READ_CALLS = 500_000  # a header of zeros is looked through byte by byte
MAX_RLE_PIXELS = 8_000_000  # runs of equal pixels in a BMP are unpacked by Python, pixel by pixel
MAX_JPEG_SCAN_PIXELS = 1_500_000_000  # a JPEG may come in any number of scans, and each touches every pixel
SCAN_MARKER = b"\xff\xda"
SEGMENT_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")


class ImageError(Exception):
    """Error of an image that cannot be decoded; the message is a short reason."""


class BoundedReader(BufferedReader):
    """File reader that limits the number and the size of reads."""

    def __init__(self, raw: FileIO) -> None:
        super().__init__(raw)
        self.read_calls = 0
        self.remaining_bytes = MAX_READ_BYTES
        self.max_read_bytes = MAX_READ_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes; raises ImageError beyond the limits on bytes and calls."""
        self.read_calls += 1
        if self.read_calls > MAX_READ_CALLS:
            raise ImageError(f"in more than {MAX_READ_CALLS:,} pieces")
        limit = self.max_read_bytes
        content = super().read(limit + 1 if size is None or size < 0 else min(size, limit + 1))
        self.remaining_bytes -= len(content)
        if len(content) > limit or self.remaining_bytes < 0:
            raise ImageError(f"more than {limit:,} bytes to be read at once")
        return content


@contextmanager
def open_image(path: Path) -> Iterator[ImageFile]:
    """Open an image by the magic bytes of its header, whatever its suffix; no pixel is decoded yet.

    Raises ImageError. Image.open is not used: it has its own warnings for large images, and tries formats that are not
    supported here.
    """
    _check_image_file(path)
    with BoundedReader(FileIO(path, "rb", opener=_open_nonblocking)) as stream:
        header = stream.peek(8)
        image_class = next((cls for magic, cls in IMAGE_CLASSES_BY_MAGIC.items() if header.startswith(magic)), None)
        if image_class is None:
            raise ImageError(f"not an image of a supported format ({SUPPORTED_FORMATS})")
        if image_class is WebPImageFile:
            stream.remaining_bytes = stream.max_read_bytes = MAX_WEBP_BYTES
        try:
            image = image_class(stream)
        except SyntaxError:
            raise ImageError("damaged at its beginning") from None
        with image:
            pixels = image.width * image.height
            is_rle = image_class is BmpImageFile and any(tile.codec_name == "bmp_rle" for tile in image.tile)
            max_pixels = MAX_RLE_PIXELS if is_rle else MAX_IMAGE_PIXELS
            if pixels > max_pixels:
                raise ImageError(f"{image.width} x {image.height} pixels; at most {max_pixels:,} are read")
            if image_class is JpegImageFile:
                _check_jpeg_scans(stream, pixels)
            stream.remaining_bytes = 2 * MAX_FILE_BYTES  # the pixels may be read, with the same limit for each read
            yield image


def _check_image_file(path: Path) -> None:
    """Raise ImageError unless the path is a regular, non-empty file: reading a pipe or a device could block."""
    if path.suffix.lower() in UNSUPPORTED_SUFFIXES:
        raise ImageError(f"{path.suffix} is not supported; {SUPPORTED_FORMATS} are")
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise ImageError(getattr(error, "strerror", None) or str(error)) from None
    if stat.S_ISDIR(status.st_mode):
        raise ImageError("a folder that cannot be listed" if not os.access(path, os.R_OK) else "a folder")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("not a regular file")
    if status.st_size == 0:
        raise ImageError("empty file")
    if status.st_size > MAX_FILE_BYTES:
        raise ImageError(f"{status.st_size:,} bytes; at most {MAX_FILE_BYTES:,} are read")


def _open_nonblocking(path: str, flags: int) -> int:
    """Open without blocking, in case the file was replaced by a pipe after it was checked."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_jpeg_scans(stream: BoundedReader, pixels: int) -> None:
    """Raise ImageError for a JPEG whose scans would take minutes; a small file can have a thousand of them."""
    max_scans = MAX_JPEG_SCAN_PIXELS // max(pixels, 1)
    if os.fstat(stream.fileno()).st_size < 8 * max_scans:  # a scan takes more
        return
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        # other data may contain the marker too: a fast upper bound first
        marker_count = sum(1 for _ in islice(re.finditer(SCAN_MARKER, content), max_scans + 1))
        if marker_count > max_scans and (scans := _count_scans(content)) > max_scans:
            raise ImageError(f"{scans:,} scans of {pixels:,} pixels each; at most {max_scans:,} are read")


def _count_scans(content: mmap.mmap) -> int:
    """Count the scans of a JPEG, segment by segment."""
    position = 2
    count = 0
    while (marker := SEGMENT_MARKER.search(content, position)) and marker[1] != b"\xd9":
        position = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])
        count += marker[1] == SCAN_MARKER[1:]
    return count
