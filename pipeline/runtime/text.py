"""Names that come from outside: how they are shown, and how they are written where a spreadsheet may read them."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_DISPLAY_CHARS, MAX_CELL_CHARS = 120, 40
MAX_NAME_CHARS = 1_000  # of a class, a column or a category: a model keeps them
SPREADSHEET_FORMULA = re.compile(r"[=+\-@\t\r]")
SIGNED_NUMBER = re.compile(r"[+-][\d,.]+(e[+-]?\d+)?( [\w/%]+)?")


def escape_unprintable(text: str) -> str:
    """A name with everything that is no printable character escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def shorten(text: str, max_chars: int = MAX_DISPLAY_CHARS) -> str:
    """A name for a message: escaped, and of a very long one the beginning and how long it is."""
    if len(text) <= max_chars:
        return escape_unprintable(text)
    return f"{escape_unprintable(text[:max_chars])}... ({len(text):,} characters)"


def quote_cell(text: str) -> str:
    """A cell's text for a message."""
    return f"'{shorten(text, MAX_CELL_CHARS)}'"


def join_names(names: Iterable[str]) -> str:
    """Names for a message, one after the other."""
    return ", ".join(map(shorten, names))


def escape_csv_cell(text: str) -> str:
    """A text for a CSV file: escaped, and with an apostrophe where a spreadsheet would run it as a formula."""
    escaped = escape_unprintable(text)
    return f"'{escaped}" if SPREADSHEET_FORMULA.match(escaped) and not SIGNED_NUMBER.fullmatch(escaped) else escaped
