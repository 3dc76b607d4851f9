"""The words of a command that has no configuration: `key=value`, each key once."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches


class UsageError(Exception):
    """What was typed cannot be done; `mistakes` has a line for each reason."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def read(words: Sequence[str], keys: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The value of each key, and a line for each word that is no such value."""
    mistakes, typed = [], dict[str, str]()
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in keys:
            mistakes.append(_unknown(word, key, keys))
        elif key in typed:
            mistakes.append(f"{key}: said once; got {typed[key]} and {value}")
        else:
            typed[key] = value
    return typed, mistakes


def _unknown(word: str, key: str, keys: Sequence[str]) -> str:
    """Why a word is none of ours, with the key that may have been meant."""
    near = get_close_matches(key.lstrip("-"), keys, n=1, cutoff=0.6)
    hint = f" (did you mean {near[0]}=?)" if near else ""
    *first, last = [f"{known}=" for known in keys]
    return f"{key}: only {', '.join(first)} and {last} can be said; got {word}{hint}"
