"""The words of a command that has no configuration: `key=value`, each key once."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches

MISTAKE = 2
LONGEST = 200  # letters of the system's own reason, which repeats a name of any length


class UsageError(Exception):
    """What was typed cannot be done; `mistakes` has a line for each reason."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def command(
    given: Sequence[str] | None,
    help_text: str,
    act: Callable[[Sequence[str]], int],
    stopped: str = "stopped; nothing was written",
) -> int:
    """Runs a command on what was given, or typed: its help where that is asked for, 2 where a word is wrong.

    stopped: what is said at Ctrl-C.
    """
    typed = sys.argv[1:] if given is None else given
    if {"-h", "--help"} & set(typed):
        print(help_text, end="")
        return 0
    try:
        return act(typed)
    except UsageError as error:
        return _refuse(error.mistakes)
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        return _refuse([str(error)[:LONGEST]])
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        return 128 + signal.SIGINT


def _refuse(mistakes: Sequence[str]) -> int:
    """A line for each reason; names in them may hold anything."""
    from pipeline.runtime.text import printable  # brings libraries along, which a command that is begun does without

    print(*map(printable, mistakes), sep="\n", file=sys.stderr)
    return MISTAKE


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
