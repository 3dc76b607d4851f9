"""Markdown as MLflow renders it: untrusted names escaped, and the user's own notes preserved."""

import re
import shlex
from collections.abc import Iterable, Sequence

USER_TEXT_MARKER = "*Written by the search; what you write below this line stays.*"
TRUNCATION_MARKER = "\n\n..."
MAX_CODE_LINE_CHARS = 72  # a longer line would widen the whole page
SPECIAL_CHARACTERS = re.compile(r"[\\`*_{}\[\]#+!~|^$]")
HTML_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}  # an @ would link to a user's page


def escape(text: str) -> str:
    """Return the text on one line, with all Markdown and HTML characters escaped."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return "".join(HTML_ENTITIES.get(letter, letter) for letter in SPECIAL_CHARACTERS.sub(r"\\\g<0>", line))


def format_inline_code(text: str) -> str:
    """Return the text as inline code."""
    fence = _code_fence(text, 1)
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


def format_code_block(arguments: Sequence[str]) -> str:
    """Return a shell command as a code block, broken into several lines if it is long."""
    lines = [""]
    for argument in map(shlex.quote, arguments):
        if lines[-1] and len(lines[-1]) + len(argument) >= MAX_CODE_LINE_CHARS:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {argument}" if lines[-1] else argument
    text = "\n".join(lines)
    fence = _code_fence(text, 3)
    return f"{fence}\n{text}\n{fence}"


def _code_fence(text: str, min_length: int) -> str:
    """Return more backticks than any run of them in the text."""
    return "`" * max(min_length, 1 + max(map(len, re.findall("`+", text)), default=0))


def format_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; its cells must be Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def format_name_list(names: Sequence[str], max_names: int = 12) -> str:
    """Return at most `max_names` names in a line, and the number of the others."""
    text = ", ".join(escape(truncate(name, 40)) for name in names[:max_names])
    return text + (f" and {len(names) - max_names} more" if len(names) > max_names else "")


def truncate(text: str, max_chars: int) -> str:
    """Return the text, cut to `max_chars` characters."""
    return text if len(text) <= max_chars else text[: max_chars - 3] + "..."


def merge_note(generated: str, existing: str | None, max_chars: int) -> str:
    """Return the generated note with the user's own text, which stands below the marker in the existing note.

    max_chars: MLflow's limit; the generated text is cut to fit, unless the user wrote: then the note stays as it is.
    """
    head, marker, after_marker = (existing or "").partition(USER_TEXT_MARKER)
    user_text = after_marker.strip() if marker else head.strip()
    footer = "\n\n".join(["", "---", USER_TEXT_MARKER, *([user_text] if user_text else [])])
    max_generated = max_chars - len(footer)
    if len(generated) <= max_generated:
        return generated + footer
    if existing and user_text:
        return existing
    # Whole paragraphs: half a table or an open code fence would break the page.
    end = generated.rfind("\n\n", 0, max_generated - len(TRUNCATION_MARKER) + 2)
    return (generated[:end] + TRUNCATION_MARKER if end > 0 else truncate(generated, max_generated)) + footer
