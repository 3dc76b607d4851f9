"""Text in a picture: fonts that have its letters, and texts short enough for their place."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont
from PIL.ImageFont import FreeTypeFont

from pipeline.runtime.text import printable

PLAIN, BOLD = "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"  # Latin, Greek, Cyrillic and more; matplotlib brings them along
OTHERS = (  # of the system, for Korean, Chinese and Japanese; the first that is there
    "NotoSansCJK-Regular.ttc",
    "NotoSansKR-Regular.ttf",
    "NanumGothic.ttf",
    "malgun.ttf",
    "AppleSDGothicNeo.ttc",
    "DroidSansFallbackFull.ttf",
)
MISSING, IN_NO_FONT = "\u25a1", "\U0010ffff"
ELLIPSIS = "\u2026"
LONGEST = 400  # letters that are looked at; no place is that wide


@cache
def own(name: str, size: int) -> FreeTypeFont:
    """A font that was installed with the program; Pillow's own, of Latin letters, where it is not there."""
    found = find_spec("matplotlib")
    folder = Path(*(found.submodule_search_locations or ())) if found else Path()
    file = folder / "mpl-data" / "fonts" / "ttf" / name
    font = ImageFont.truetype(str(file), size) if file.is_file() else ImageFont.load_default(size)
    assert isinstance(font, FreeTypeFont)
    return font


@cache
def other(size: int) -> FreeTypeFont | None:
    """A font of the system with the letters that ours lacks."""
    for name in OTHERS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


@cache
def has(font: FreeTypeFont, letter: str) -> bool:
    """Whether a font has a letter: the others all look alike."""
    return bytes(font.getmask(letter)) != bytes(font.getmask(IN_NO_FONT))


def lettered(text: str, name: str, size: int) -> tuple[str, FreeTypeFont]:
    """A text as it can be drawn, and with which font; a letter that no font here has becomes a square."""
    plain = printable(text[:LONGEST])
    font = own(name, size)
    if all(has(font, letter) for letter in plain):
        return plain, font
    second = other(size)
    if second is not None and all(has(second, letter) for letter in plain):
        return plain, second
    return "".join(letter if has(font, letter) else MISSING for letter in plain), font


def fitted(text: str, font: FreeTypeFont, width: float) -> str:
    """A text that is no wider; of a longer one the beginning and the end, where names differ."""
    if font.getlength(text) <= width:
        return text

    def cut(keep: int) -> str:
        return text[: keep - keep // 3] + ELLIPSIS + text[len(text) - keep // 3 :]

    keep = bisect_right(range(len(text)), width, key=lambda letters: font.getlength(cut(letters))) - 1
    return cut(max(keep, 0))


def wrapped(text: str, font: FreeTypeFont, width: float, lines: int) -> list[str]:
    """A text in at most so many lines, broken between words."""
    found = [""]
    for word in text.split():
        longer = f"{found[-1]} {word}".strip()
        if font.getlength(longer) <= width or not found[-1]:
            found[-1] = longer
        else:
            found.append(word)
    kept = found[:lines] if len(found) <= lines else [*found[: lines - 1], " ".join(found[lines - 1 :])]
    return [fitted(line, font, width) for line in kept]
