"""Commands: their `key=value` arguments, their help, and the one place where a user error becomes an exit code."""

import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from pipeline.runtime.errors import UserError
from pipeline.runtime.signals import SearchInterrupted
from pipeline.runtime.suggestions import did_you_mean

MAX_REASON_CHARS = 200  # the system's own reason repeats a name of any length
RESUME_MESSAGE = "Stopped. Progress is saved; run the same command again to resume."


class UsageError(UserError):
    """Mistakes in a command, one line each."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines  # a name in them may hold a line break, which is printed escaped


def run_command(
    argv: Sequence[str] | None,
    help_text: str,
    action: Callable[[Sequence[str]], int],
    interrupt_message: str = "Stopped. Nothing was written.",
) -> int:
    """Run a command on `argv`, or on the arguments typed, and return its exit code; -h and --help print its help."""
    args = sys.argv[1:] if argv is None else argv
    if {"-h", "--help"} & set(args):
        print(help_text, end="")
        return 0

    def run() -> int:
        try:
            return action(args)
        except OSError as error:  # a name that is too long, a folder that may not be listed
            raise UsageError(str(error)[:MAX_REASON_CHARS]) from None

    return run_reporting_errors(run, interrupt_message)


def run_reporting_errors(action: Callable[[], int], interrupt_message: str) -> int:
    """Run an action and return its exit code; a UserError is printed to stderr and gives its own.

    interrupt_message: printed after Ctrl-C (130) and other signals that end a search (128 and the signal's number).
    """
    try:
        return action()
    except UserError as error:
        print_lines(error.lines)
        return error.exit_code
    except KeyboardInterrupt:
        exit_code = 128 + signal.SIGINT
    except SearchInterrupted as interrupt:
        exit_code = interrupt.exit_code
    print(interrupt_message, file=sys.stderr)
    return exit_code


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to stderr with unprintable characters escaped: names in them may hold anything."""
    from pipeline.runtime.text import escape_unprintable  # it compiles patterns, and --help does without

    print(*map(escape_unprintable, lines), sep="\n", file=sys.stderr)


@dataclass(frozen=True)
class CommandOptions:
    """Options of a command: each field, with metadata of `option`, is a key of its `key=value` arguments."""

    def find_mistakes(self) -> list[str]:
        """Return a line for each mistake that needs several values; one that could not be read is None here."""
        return []


OptionsT = TypeVar("OptionsT", bound=CommandOptions)


def option(default: str | None, read: Callable[[str], Any]) -> Mapping[str, Any]:
    """Return the metadata of a field.

    default: the text that is read if the key is missing; None for the value None.
    read: makes the value of the text; raises ValueError(rule) or ValueError(rule, hint to print after the text).
    """
    return {"default": default, "read": read}


def read_options(options_class: type[OptionsT], args: Sequence[str]) -> OptionsT:
    """Return the options of `key=value` arguments; raise UsageError with every mistake among them."""
    texts: dict[str, str] = {}
    mistakes: list[str] = []
    keys = [each.name for each in fields(options_class)]
    *first, last = [f"{key}=" for key in keys]
    for argument in args:
        key, equals, text = argument.partition("=")
        if not equals or key not in keys:
            hint = did_you_mean(f"{key.lstrip('-')}=", [*first, last])
            mistakes.append(f"{key}: the keys are {', '.join(first)} and {last}; got {argument}{hint}")
        elif key in texts:
            mistakes.append(f"{key}: given twice; got {texts[key]} and {text}")
        else:
            texts[key] = text
    return fill_options(options_class, texts, mistakes)


def fill_options(
    options_class: type[OptionsT], texts: Mapping[str, str], mistakes: Sequence[str], **values: Any
) -> OptionsT:
    """Return the options of texts by key, and of values without one; raise UsageError with these and new mistakes."""
    lines = list(mistakes)
    for each in fields(options_class):
        values.setdefault(each.name, None)
        text = texts.get(each.name, each.metadata.get("default"))
        if text is not None:
            try:
                values[each.name] = each.metadata["read"](text)
            except ValueError as error:
                rule, *hints = error.args
                lines.append(f"{each.name}: {rule}; got {text or 'nothing'}{''.join(hints)}")
    options = options_class(**values)
    lines += options.find_mistakes()
    if lines:
        raise UsageError(*lines)
    return options


def read_bool(text: str) -> bool:
    """Return the value of `true` or `false`."""
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


def read_folder(text: str) -> Path:
    """Return the path of a folder that exists."""
    if not Path(text).is_dir():
        raise ValueError("a folder that exists")
    return Path(text)


def read_file(text: str) -> Path:
    """Return the path of a file that exists."""
    if not Path(text).is_file():
        raise ValueError("a file that exists")
    return Path(text)


def read_model_name(text: str) -> str:
    """Return the name of a model."""
    if not text:
        raise ValueError("say which, model=<folder, task or models:/...>")
    return text
