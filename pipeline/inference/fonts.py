"""Fonts for text in images, and text short enough for its place."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache
from pathlib import Path

import matplotlib as mpl
from PIL import ImageFont
from PIL.ImageFont import FreeTypeFont

from pipeline.runtime.text import escape_unprintable

REGULAR_FONT = "DejaVuSans.ttf"  # Latin, Greek, Cyrillic and more; installed with matplotlib
BOLD_FONT = "DejaVuSans-Bold.ttf"
SYSTEM_FONTS = (  # for Korean, Chinese and Japanese; the first that is installed
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
def load_bundled_font(font_name: str, size: int) -> FreeTypeFont:
    """Return one of matplotlib's fonts."""
    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts", "ttf", font_name), size)


@cache
def load_system_font(size: int) -> FreeTypeFont | None:
    """Return the system's font for scripts that the bundled fonts lack, or None if there is none."""
    for name in SYSTEM_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


@cache
def has_glyph(font: FreeTypeFont, character: str) -> bool:
    """Return whether a font has a glyph for the character: all characters without one look alike."""
    return bytes(font.getmask(character)) != bytes(font.getmask(UNASSIGNED_CHARACTER))


def choose_font(text: str, font_name: str, size: int) -> tuple[str, FreeTypeFont]:
    """Return the text as it can be drawn, and a font for it; a character without a glyph becomes a square."""
    printable_text = escape_unprintable(text[:MAX_TEXT_CHARS])
    font = load_bundled_font(font_name, size)
    for candidate in (font, load_system_font(size)):
        if candidate is not None and all(has_glyph(candidate, letter) for letter in printable_text):
            return printable_text, candidate
    return "".join(letter if has_glyph(font, letter) else MISSING_GLYPH for letter in printable_text), font


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
