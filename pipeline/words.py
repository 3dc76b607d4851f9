"""The words of a command that has no configuration: `key=value`, each key once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches


class UsageError(Exception):
    """What was typed cannot be done; `mistakes` has a line for each reason."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def read(words: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """The value of each key; known: what each may be, such as `port: <number>`.

    Raises UsageError with every mistake among the words.
    """
    mistakes, typed = [], dict[str, str]()
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in known:
            mistakes.append(_unknown(word, key, known))
        elif key in typed:
            mistakes.append(f"{key}: said once; got {typed[key]} and {value}")
        elif not value:
            mistakes.append(f"{key}: {known[key]}; got nothing")
        else:
            typed[key] = value
    if mistakes:
        raise UsageError(*mistakes)
    return typed


def _unknown(word: str, key: str, known: Mapping[str, str]) -> str:
    """Why a word is none of ours, with the key that may have been meant."""
    near = get_close_matches(key.lstrip("-"), known, n=1, cutoff=0.6)
    hint = f" (did you mean {near[0]}=?)" if near else ""
    kinds = [f"{key}={kind}" for key, kind in known.items()]
    return f"{key}: only {', '.join(kinds[:-1])} and {kinds[-1]} can be said; got {word}{hint}"
