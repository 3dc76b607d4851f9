"""Text from files and arguments, escaped for the terminal and for spreadsheets."""

import re
from collections.abc import Iterable

MAX_DISPLAY_CHARS = 120
MAX_CELL_CHARS = 40
MAX_NAME_CHARS = 1_000  # of a class, a column or a category: the model's file stores them
SPREADSHEET_FORMULA = re.compile(r"[=+\-@\t\r]")
SIGNED_NUMBER = re.compile(r"[+-][\d,.]+(e[+-]?\d+)?( [\w/%]+)?")


def escape_unprintable(text: str) -> str:
    """Return the text with unprintable characters escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def shorten(text: str, max_chars: int = MAX_DISPLAY_CHARS) -> str:
    """Return the text escaped; of a long one only the beginning, and its length."""
    if len(text) <= max_chars:
        return escape_unprintable(text)
    return f"{escape_unprintable(text[:max_chars])}... ({len(text):,} characters)"


def quote_cell(text: str) -> str:
    """Return the text of a cell, shortened and in quotes."""
    return f"'{shorten(text, MAX_CELL_CHARS)}'"


def join_names(names: Iterable[str]) -> str:
    """Return shortened names, separated by commas."""
    return ", ".join(map(shorten, names))


def pluralize(count: int, noun: str) -> str:
    """Return a count with its noun: "1 trial", "2 trials"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def escape_csv_cell(text: str) -> str:
    """Return the text escaped, with an apostrophe in front if a spreadsheet would run it as a formula."""
    escaped = escape_unprintable(text)
    return f"'{escaped}" if SPREADSHEET_FORMULA.match(escaped) and not SIGNED_NUMBER.fullmatch(escaped) else escaped
