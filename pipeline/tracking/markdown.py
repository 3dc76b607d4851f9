"""Markdown as MLflow shows it: names from outside as plain letters, and a person's own words kept."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

MARK = "*Written by the search; what you write below this line stays.*"
MORE = "\n\n..."
WIDE = 72  # letters in a line: a longer one would widen the whole page
SPECIAL = re.compile(r"[\\`*_{}\[\]#+!~|^$]")
CODES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}  # an @ would link to a stranger's page


def plain(text: str) -> str:
    """Text that shows as it is: one line, and no letter of it means anything."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return "".join(CODES.get(letter, letter) for letter in SPECIAL.sub(r"\\\g<0>", line))


def inline(text: str) -> str:
    """Text in the letters of a program, in a line that breaks where the page ends."""
    fence = "`" * (1 + _longest_run(text))
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


def code(words: Sequence[str]) -> str:
    """A command to copy, on several lines where it is long."""
    lines = [""]
    for word in map(shlex.quote, words):
        if lines[-1] and len(lines[-1]) + len(word) >= WIDE:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {word}" if lines[-1] else word
    text = "\n".join(lines)
    fence = "`" * max(3, 1 + _longest_run(text))
    return f"{fence}\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    """Of backticks."""
    return max((len(run) for run in re.findall("`+", text)), default=0)


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown already."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names in a line, and how many more there are."""
    shown = ", ".join(plain(shortened(name, 40)) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def shortened(text: str, most: int) -> str:
    """The text, or its beginning where it is long."""
    return text if len(text) <= most else text[: most - 3] + "..."


def note(ours: str, before: str | None, most: int) -> str:
    """The text of a page that has one already: what a person wrote below the line stays below it.

    most: letters that MLflow takes; ours is cut to fit, or where a person has written the page stays as it was.
    """
    head, mark, own = (before or "").partition(MARK)
    kept = own.strip() if mark else head.strip()
    below = "\n\n".join(["", "---", MARK, *([kept] if kept else [])])
    if before and kept and len(ours + below) > most:
        return before
    return _cut(ours, most - len(below)) + below


def _cut(text: str, most: int) -> str:
    """As many whole paragraphs as fit, and a sign that there were more: half a table or an open fence would spread."""
    if len(text) <= most:
        return text
    end = text.rfind("\n\n", 0, most - len(MORE) + 2)
    return text[:end] + MORE if end > 0 else shortened(text, most)
