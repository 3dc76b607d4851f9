"""A key that is not there, in one line: which may have been meant, or what its group holds."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

MOST = 3  # keys that may have been meant
SHORT = 2  # letters, with which too many begin
LIKE = 0.7  # `nodse` is to `nodes`, and `batch` is not to `cache`


def unknown(group: str, name: str, known: Sequence[str], elsewhere: Sequence[str]) -> str:
    """The line.

    group: where it was looked for, "" at the top; known: what that holds; elsewhere: whole keys of other groups.
    """
    key, whole = (f"{group}.{name}", [f"{group}.{each}" for each in known]) if group else (name, list(known))
    if near := _near(name, whole) or _near(name, elsewhere):
        *first, last = near
        return f"{key}: no such key (did you mean {', '.join(first) + ' or ' if first else ''}{last}?)"
    return f"{key}: no such key; {group or 'the configuration'} has {', '.join(known)}"


def of_others(name: str, kinds: Sequence[str]) -> str:
    """The line about a key that other kinds of data set have, where there are some."""
    return f"dataset.{name}: is for dataset={', '.join(kinds)}; say which, dataset={kinds[0]}" if kinds else ""


def _near(name: str, whole: Sequence[str]) -> list[str]:
    """Of whole keys, the one whose last word is the name; else those where it begins so, or else is like it."""
    ends: dict[str, str] = {}
    for key in whole:
        ends.setdefault(key.rpartition(".")[2], key)
    if name in ends:
        return [ends[name]]
    longer = [end for end in ends if len(name) > SHORT and end.startswith(name)]
    return [ends[end] for end in (longer or get_close_matches(name, list(ends), MOST, LIKE))[:MOST]]
