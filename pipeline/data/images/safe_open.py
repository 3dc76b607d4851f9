"""Opens a picture file: a regular one, of four formats, and no more of it than a picture needs."""

from __future__ import annotations

import mmap
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path

from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

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
MAX_PART = 16_000_000  # what stands before the pixels, and each part after: a profile, a thumbnail, a text
MAX_WHOLE = 64_000_000  # a WEBP is read whole, and copied once
MAX_READS = 500_000  # a header of zeros is looked through byte by byte
MAX_RUN_PIXELS = 8_000_000  # runs of equal pixels in a BMP are unpacked by Python, pixel by pixel
MAX_SCANNED = 1_500_000_000  # a JPEG may come in any number of scans, and each touches every pixel
SCAN, SEGMENT = b"\xff\xda", re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")


class PictureError(Exception):
    """A picture that cannot be read: the reason, in a few words."""


class Metered(BufferedReader):
    """A file that says no where more is asked of it than any picture needs."""

    def __init__(self, raw: FileIO) -> None:
        super().__init__(raw)
        self.reads, self.left, self.part = 0, MAX_PART, MAX_PART

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to so many bytes; raises PictureError where they are too many, or come in too many pieces."""
        self.reads += 1
        if self.reads > MAX_READS:
            raise PictureError(f"in more than {MAX_READS:,} pieces")
        found = super().read(self.part + 1 if size is None or size < 0 else min(size, self.part + 1))
        self.left -= len(found)
        if len(found) > self.part or self.left < 0:
            raise PictureError(f"more than {self.part:,} bytes to be read at once")
        return found

    def begin_pixels(self) -> None:
        """From here on the whole file may be read, in parts of the same size."""
        self.left = 2 * MAX_BYTES


@contextmanager
def opened(path: Path) -> Iterator[ImageFile]:
    """The header of a picture, by its first bytes, whatever its name says; nothing is decoded yet.

    Raises PictureError. Image.open is not used: it warns of large pictures on its own terms, and tries formats that we
    did not ask for.
    """
    _check_file(path)
    with Metered(FileIO(path, "rb", opener=_without_waiting)) as stream:
        start = stream.peek(8)[:8]
        kind = next((kind for beginning, kind in BEGINNINGS.items() if start.startswith(beginning)), None)
        if kind is None:
            raise PictureError(f"not a picture of a format that is read ({FORMATS})")
        if kind is WebPImageFile:
            stream.left = stream.part = MAX_WHOLE
        try:
            picture = kind(stream)
        except SyntaxError:
            raise PictureError("damaged at its beginning") from None
        with picture:
            pixels, most = picture.width * picture.height, _most_pixels(picture)
            if pixels > most:
                raise PictureError(f"{picture.width} x {picture.height} pixels; at most {most:,} are read")
            if kind is JpegImageFile:
                _check_scans(stream, pixels)
            stream.begin_pixels()
            yield picture


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


def _without_waiting(path: str, flags: int) -> int:
    """Should a pipe have taken the file's place since it was looked at, nobody is waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _most_pixels(picture: ImageFile) -> int:
    in_runs = isinstance(picture, BmpImageFile) and any(tile.codec_name == "bmp_rle" for tile in picture.tile)
    return MAX_RUN_PIXELS if in_runs else MAX_PIXELS


def _check_scans(stream: Metered, pixels: int) -> None:
    """Refuses a JPEG whose scans would take minutes; a thousand of them fit into a small file."""
    most = MAX_SCANNED // max(pixels, 1)
    if os.fstat(stream.fileno()).st_size < 8 * most:  # a scan takes more
        return
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if _at_least(content, most + 1) and (scans := _scans(content)) > most:
            raise PictureError(f"{scans:,} scans of {pixels:,} pixels each; at most {most:,} are read")


def _at_least(content: mmap.mmap, count: int) -> bool:
    """Whether the mark of a scan occurs so often: a quick look, which also counts what is no scan."""
    place = -1
    for _ in range(count):
        place = content.find(SCAN, place + 1)
        if place < 0:
            return False
    return True


def _scans(content: mmap.mmap) -> int:
    """How many scans the picture has: from segment to segment, up to its end."""
    place, count = 2, 0
    while (found := SEGMENT.search(content, place)) and found[1] != b"\xd9":
        place = found.end() + int.from_bytes(content[found.end() : found.end() + 2])
        count += found[1] == SCAN[1:]
    return count
