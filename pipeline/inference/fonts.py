"""Text in a picture: fonts that have its letters, and texts short enough for their place."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont
from PIL.ImageFont import FreeTypeFont

from pipeline.runtime.text import escape_unprintable

REGULAR_FONT, BOLD_FONT = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
)  # Latin, Greek, Cyrillic and more; matplotlib brings them along
SYSTEM_FONTS = (  # of the system, for Korean, Chinese and Japanese; the first that is there
    "NotoSansCJK-Regular.ttc",
    "NotoSansKR-Regular.ttf",
    "NanumGothic.ttf",
    "malgun.ttf",
    "AppleSDGothicNeo.ttc",
    "DroidSansFallbackFull.ttf",
)
MISSING_GLYPH, UNASSIGNED_CHARACTER = "\u25a1", "\U0010ffff"
ELLIPSIS = "\u2026"
MAX_TEXT_CHARS = 400  # letters that are looked at; no place is that wide


@cache
def load_bundled_font(font_name: str, size: int) -> FreeTypeFont:
    """A font that was installed with the program; Pillow's own, of Latin letters, where it is not there."""
    package_spec = find_spec("matplotlib")
    folder = Path(*(package_spec.submodule_search_locations or ())) if package_spec else Path()
    file = folder / "mpl-data" / "fonts" / "ttf" / font_name
    font = ImageFont.truetype(str(file), size) if file.is_file() else ImageFont.load_default(size)
    assert isinstance(font, FreeTypeFont)
    return font


@cache
def load_system_font(size: int) -> FreeTypeFont | None:
    """A font of the system with the letters that ours lacks."""
    for name in SYSTEM_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


@cache
def has_glyph(font: FreeTypeFont, character: str) -> bool:
    """Whether a font has a letter: the others all look alike."""
    return bytes(font.getmask(character)) != bytes(font.getmask(UNASSIGNED_CHARACTER))


def choose_font(text: str, font_name: str, size: int) -> tuple[str, FreeTypeFont]:
    """A text as it can be drawn, and with which font; a letter that no font here has becomes a square."""
    printable_text = escape_unprintable(text[:MAX_TEXT_CHARS])
    font = load_bundled_font(font_name, size)
    if all(has_glyph(font, letter) for letter in printable_text):
        return printable_text, font
    system_font = load_system_font(size)
    if system_font is not None and all(has_glyph(system_font, letter) for letter in printable_text):
        return printable_text, system_font
    return "".join(letter if has_glyph(font, letter) else MISSING_GLYPH for letter in printable_text), font


def truncate_to_width(text: str, font: FreeTypeFont, max_width: float) -> str:
    """A text that is no wider; of a longer one the beginning and the end, where names differ."""
    if font.getlength(text) <= max_width:
        return text

    def truncate(keep: int) -> str:
        return text[: keep - keep // 3] + ELLIPSIS + text[len(text) - keep // 3 :]

    keep = bisect_right(range(len(text)), max_width, key=lambda letters: font.getlength(truncate(letters))) - 1
    return truncate(max(keep, 0))


def wrap_text(text: str, font: FreeTypeFont, max_width: float, max_lines: int) -> list[str]:
    """A text in at most so many lines, broken between words."""
    all_lines = [""]
    for word in text.split():
        longer = f"{all_lines[-1]} {word}".strip()
        if font.getlength(longer) <= max_width or not all_lines[-1]:
            all_lines[-1] = longer
        else:
            all_lines.append(word)
    visible_lines = (
        all_lines[:max_lines]
        if len(all_lines) <= max_lines
        else [*all_lines[: max_lines - 1], " ".join(all_lines[max_lines - 1 :])]
    )
    return [truncate_to_width(line, font, max_width) for line in visible_lines]
