"""Names that come from outside: how they are shown, and how they are written where a spreadsheet may read them."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST_SHOWN, LONGEST_CELL = 120, 40
LONGEST_NAME = 1_000  # of a class, a column or a category: a model keeps them
FORMULA = re.compile(r"[=+\-@\t\r]")
PLAIN_NUMBER = re.compile(r"[+-][\d,.]+(e[+-]?\d+)?( [\w/%]+)?")


def printable(name: str) -> str:
    """A name with everything that is no printable character escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)


def shown(name: str, longest: int = LONGEST_SHOWN) -> str:
    """A name for a message: escaped, and of a very long one the beginning and how long it is."""
    if len(name) <= longest:
        return printable(name)
    return f"{printable(name[:longest])}... ({len(name):,} characters)"


def quoted(text: str) -> str:
    """A cell's text for a message."""
    return f"'{shown(text, LONGEST_CELL)}'"


def listed_names(names: Iterable[str]) -> str:
    """Names for a message, one after the other."""
    return ", ".join(map(shown, names))


def cell(text: str) -> str:
    """A text for a CSV file: escaped, and with an apostrophe where a spreadsheet would run it as a formula."""
    plain = printable(text)
    return f"'{plain}" if FORMULA.match(plain) and not PLAIN_NUMBER.fullmatch(plain) else plain
