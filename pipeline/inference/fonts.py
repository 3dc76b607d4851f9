"""Fonts for text in images, and text short enough for its place."""

from bisect import bisect_right
from contextlib import suppress
from functools import cache
from pathlib import Path

import matplotlib as mpl
from PIL import ImageFont
from PIL.ImageFont import FreeTypeFont

from pipeline.runtime.text import escape_unprintable

REGULAR_FONT = "DejaVuSans.ttf"  # Latin, Greek, Cyrillic and more; installed with matplotlib
BOLD_FONT = "DejaVuSans-Bold.ttf"
SYSTEM_FONTS = (  # for Korean, Chinese and Japanese, where they are installed
    "NotoSansCJK-Regular.ttc",
    "NotoSansKR-Regular.ttf",
    "NanumGothic.ttf",
    "malgun.ttf",
    "AppleSDGothicNeo.ttc",
    "DroidSansFallbackFull.ttf",
)
MISSING_GLYPH = "\u25a1"
UNASSIGNED_CHARACTER = "\U0010ffff"
ELLIPSIS = "\u2026"
MAX_TEXT_CHARS = 400  # no place is wider


@cache
def load_fonts(name: str, size: int) -> list[FreeTypeFont]:
    """Return the font of matplotlib with this file name, then the installed system fonts; size in pixels."""
    fonts = [ImageFont.truetype(Path(mpl.get_data_path(), "fonts", "ttf", name), size)]
    for system_font in SYSTEM_FONTS:
        with suppress(OSError):
            fonts.append(ImageFont.truetype(system_font, size))
    return fonts


@cache
def has_glyph(font: FreeTypeFont, character: str) -> bool:
    """Return whether a font has a glyph for the character: all characters without one look alike."""
    return bytes(font.getmask(character)) != bytes(font.getmask(UNASSIGNED_CHARACTER))


def choose_font(text: str, name: str, size: int) -> tuple[str, FreeTypeFont]:
    """Return the text as it can be drawn and the first font for all of it; a character of no font becomes a square."""
    printable = escape_unprintable(text[:MAX_TEXT_CHARS])
    fonts = load_fonts(name, size)
    for font in fonts:
        if all(has_glyph(font, character) for character in printable):
            return printable, font
    return "".join(char if has_glyph(fonts[0], char) else MISSING_GLYPH for char in printable), fonts[0]


def truncate_to_width(text: str, font: FreeTypeFont, max_width: float) -> str:
    """Return the text, or its beginning and its end (in which names differ) if it is wider than `max_width` pixels."""
    if font.getlength(text) <= max_width:
        return text

    def truncate(n_chars: int) -> str:
        return text[: n_chars - n_chars // 3] + ELLIPSIS + text[len(text) - n_chars // 3 :]

    n_chars = bisect_right(range(len(text)), max_width, key=lambda count: font.getlength(truncate(count))) - 1
    return truncate(max(n_chars, 0))


def wrap_text(text: str, font: FreeTypeFont, max_width: float, max_lines: int) -> list[str]:
    """Return the text in lines of at most `max_width` pixels, broken between words; the last one is truncated."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if len(lines) == max_lines or not lines[-1] or font.getlength(longer) <= max_width:
            lines[-1] = longer
        else:
            lines.append(word)
    return [truncate_to_width(line, font, max_width) for line in lines]
