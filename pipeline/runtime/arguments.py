"""The words of a command that has no configuration: `key=value`, each key once."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches

USAGE_ERROR_EXIT_CODE = 2
MAX_REASON_CHARS = 200  # letters of the system's own reason, which repeats a name of any length


class UsageError(Exception):
    """What was typed cannot be done; `mistakes` has a line for each reason."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def run_command(
    argv: Sequence[str] | None,
    help_text: str,
    action: Callable[[Sequence[str]], int],
    interrupt_message: str = "stopped; nothing was written",
) -> int:
    """Runs a command on what was given, or typed: its help where that is asked for, 2 where a word is wrong.

    stopped: what is said at Ctrl-C.
    """
    args = sys.argv[1:] if argv is None else argv
    if {"-h", "--help"} & set(args):
        print(help_text, end="")
        return 0
    try:
        return action(args)
    except UsageError as error:
        return _report_mistakes(error.mistakes)
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        return _report_mistakes([str(error)[:MAX_REASON_CHARS]])
    except KeyboardInterrupt:
        print(interrupt_message, file=sys.stderr)
        return 128 + signal.SIGINT


def _report_mistakes(mistakes: Sequence[str]) -> int:
    """A line for each reason; names in them may hold anything."""
    from pipeline.runtime.text import (
        escape_unprintable,  # brings libraries along, which a command that is begun does without
    )

    print(*map(escape_unprintable, mistakes), sep="\n", file=sys.stderr)
    return USAGE_ERROR_EXIT_CODE


def parse_key_values(args: Sequence[str], keys: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The value of each key, and a line for each word that is no such value."""
    mistakes, values = [], dict[str, str]()
    for argument in args:
        key, equals, value = argument.partition("=")
        if not equals or key not in keys:
            mistakes.append(_describe_unknown_argument(argument, key, keys))
        elif key in values:
            mistakes.append(f"{key}: said once; got {values[key]} and {value}")
        else:
            values[key] = value
    return values, mistakes


def _describe_unknown_argument(argument: str, key: str, keys: Sequence[str]) -> str:
    """Why a word is none of ours, with the key that may have been meant."""
    close_matches = get_close_matches(key.lstrip("-"), keys, n=1, cutoff=0.6)
    hint = f" (did you mean {close_matches[0]}=?)" if close_matches else ""
    *first, last = [f"{known}=" for known in keys]
    return f"{key}: only {', '.join(first)} and {last} can be said; got {argument}{hint}"
