"""Create broken and malicious image files: `make_bad_images` writes one of each kind into a folder."""

from __future__ import annotations

import os
import re
import stat
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"
Maker = Callable[[Path], None]


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int) -> bytes:
    return PNG + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def encoded(kind: str, width: int = 40, height: int = 30, **options: object) -> bytes:
    stream = BytesIO()
    Image.new("RGB", (width, height), (250, 20, 30)).save(stream, kind, **options)
    return stream.getvalue()


def truncated_jpeg(path: Path) -> None:
    whole = encoded("JPEG", 400, 300)
    path.write_bytes(whole[: len(whole) // 2])


def truncated_png(path: Path) -> None:
    whole = encoded("PNG", 400, 300)
    path.write_bytes(whole[: whole.index(b"IDAT") + 40])


def truncated_webp(path: Path) -> None:
    whole = encoded("WEBP", 400, 300)
    path.write_bytes(whole[: len(whole) // 2])


def beginning_only(path: Path) -> None:
    path.write_bytes(PNG)


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("no picture")


def too_many_pixels(path: Path) -> None:
    """A small file that unpacks to 169 million pixels."""
    Image.new("1", (13_000, 13_000)).save(path, "PNG")


def billions_of_pixels(path: Path) -> None:
    path.write_bytes(png_header(60_000, 60_000) + png_chunk(b"IDAT", zlib.compress(bytes(1000))))


def canvas_of_webp(path: Path) -> None:
    """An animation of 16 x 16 pixels on a canvas of 16,383 x 16,383."""
    still = encoded("WEBP", 16, 16, lossless=True)[12:]
    frame = bytes(6) + 2 * (15).to_bytes(3, "little") + bytes([100, 0, 0, 0]) + still
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes([2, 0, 0, 0]) + 2 * (16_382).to_bytes(3, "little")
    body = (
        b"WEBP" + canvas + b"ANIM" + struct.pack("<I", 6) + bytes(6) + b"ANMF" + struct.pack("<I", len(frame)) + frame
    )
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def packed_text(path: Path) -> None:
    """A compressed text of 200 MB."""
    chunk = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 1))
    path.write_bytes(png_header(8, 8) + chunk + png_chunk(b"IDAT", zlib.compress(bytes(200))))


def packed_profile(path: Path) -> None:
    """A compressed color profile of 200 MB."""
    chunk = png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(200_000_000), 1))
    path.write_bytes(png_header(8, 8) + chunk + png_chunk(b"IDAT", zlib.compress(bytes(200))))


def long_text(path: Path) -> None:
    """A text of 290 MB, as a hole that takes no room."""
    with path.open("wb") as file:
        file.write(png_header(8, 8) + struct.pack(">I", 290_000_000) + b"tEXt")
        file.truncate(299_000_000)


def long_header(path: Path) -> None:
    """A JPEG with 299 MB of nothing before its picture."""
    with path.open("wb") as file:
        file.write(b"\xff\xd8\xff\xe0")
        file.truncate(299_000_000)


def long_webp(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 298_999_992) + b"WEBPVP8L" + struct.pack("<I", 298_999_980))
        file.truncate(299_000_000)


def too_many_bytes(path: Path) -> None:
    path.touch()
    os.truncate(path, 400_000_000)


def thousands_of_scans(path: Path) -> None:
    """A small JPEG that would be decoded for minutes: its last scan stands in it two thousand times."""
    stream = BytesIO()
    Image.new("L", (4000, 4000), 90).save(stream, "JPEG", progressive=True)
    whole = stream.getvalue()
    last = [found.start() for found in re.finditer(b"\xff\xda", whole)][-1]
    scan = whole[whole.rindex(b"\xff\xc4", 0, last) : -2]  # with the table it needs
    path.write_bytes(whole[:-2] + 2_000 * scan + whole[-2:])


def runs_of_pixels(path: Path) -> None:
    """A BMP of 49 million pixels, written as runs."""
    header = struct.pack("<IiiHHIIiiII", 40, 7_000, 7_000, 1, 8, 1, 0, 0, 0, 256, 0)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + 40 + 1024) + header + bytes(1024) + 1000 * b"\xff\1")


def postscript(path: Path) -> None:
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%stdin) run\n")


def photoshop(path: Path) -> None:
    path.write_bytes(b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(100))


def drawing(path: Path) -> None:
    path.write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")


def tiff(path: Path) -> None:
    path.write_bytes(encoded("TIFF"))


def gif(path: Path) -> None:
    path.write_bytes(encoded("GIF"))


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_outside(path: Path) -> None:
    path.symlink_to(Path(__file__).resolve())


def link_to_nothing(path: Path) -> None:
    path.symlink_to("no-such-file")


def link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


def closed(path: Path) -> None:
    """A good picture that may not be read."""
    path.write_bytes(encoded("PNG"))
    path.chmod(0)


NO_PICTURE = "not an image of a supported format (JPEG, PNG, WEBP, BMP)"
BAD_IMAGES: dict[str, tuple[Maker, str]] = {
    "truncated.jpg": (truncated_jpeg, "image file is truncated"),
    "truncated.png": (truncated_png, "image file is truncated"),
    "truncated.webp": (truncated_webp, "truncated or damaged"),
    "beginning.png": (beginning_only, "damaged at its beginning"),
    "empty.jpg": (empty, "empty file"),
    "text.jpg": (text, NO_PICTURE),
    "13000.png": (too_many_pixels, "13000 x 13000 pixels; at most 64,000,000 are read"),
    "60000.png": (billions_of_pixels, "60000 x 60000 pixels; at most 64,000,000 are read"),
    "canvas.webp": (canvas_of_webp, "too many pixels; at most 64,000,000 are read"),
    "packed_text.png": (packed_text, "a text or a color profile that unpacks to far too much"),
    "packed_profile.png": (packed_profile, "a text or a color profile that unpacks to far too much"),
    "long_text.png": (long_text, "more than 16,000,000 bytes to be read at once"),
    "long_header.jpg": (long_header, "in more than 500,000 pieces"),
    "long.webp": (long_webp, "more than 64,000,000 bytes to be read at once"),
    "large.bmp": (too_many_bytes, "400,000,000 bytes; at most 300,000,000 are read"),
    "scans.jpg": (thousands_of_scans, "2,006 scans of 16,000,000 pixels each; at most 93 are read"),
    "runs.bmp": (runs_of_pixels, "7000 x 7000 pixels; at most 8,000,000 are read"),
    "postscript.jpg": (postscript, NO_PICTURE),
    "photoshop.jpg": (photoshop, NO_PICTURE),
    "drawing.jpg": (drawing, NO_PICTURE),
    "tiff.png": (tiff, NO_PICTURE),
    "moving.gif": (gif, ".gif is not supported; JPEG, PNG, WEBP, BMP are"),
    "loop.jpg": (link_to_itself, "Too many levels of symbolic links"),
    "outside.jpg": (link_to_outside, "a link that leads out of the data set's folder"),
    "nothing.jpg": (link_to_nothing, "No such file"),
    "device.jpg": (link_to_device, "a link that leads out of the data set's folder"),
    "pipe.jpg": (pipe, "not a regular file"),
    "socket.jpg": (socket, "not a regular file"),
    "closed.png": (closed, "Permission denied"),
    "new\nline.jpg": (text, NO_PICTURE),
    "\x1b[31mred\x1b[0m.jpg": (text, NO_PICTURE),
    "<img src=x onerror=alert(1)>.jpg": (text, NO_PICTURE),
    "\u202egpj.exe.jpg": (text, NO_PICTURE),
    "=cmd().jpg": (text, NO_PICTURE),
    f"{'long' * 60}.jpg": (text, NO_PICTURE),
}
READABLE_BY_ALL = ("closed.png",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()


def make_bad_images(folder: Path) -> list[str]:
    """One file of each kind, in a folder that is made if need be; returns the names of those that cannot be read.

    Where the system's administrator runs this, a file that nobody may read can be read all the same, and is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in BAD_IMAGES if name not in READABLE_BY_ALL]
    for name in names:
        BAD_IMAGES[name][0](folder / name)
    return names
