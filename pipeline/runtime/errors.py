"""User errors: mistakes and states that the user can mend, each with the exit code of the command."""

from collections.abc import Sequence


class UserError(Exception):
    """Mistake or state that the user can mend: the command prints its lines and ends with its exit code."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lines: Sequence[str] = message.split("\n")


def first_line(error: BaseException) -> str:
    """Return the first line of the error's message, or the name of its type if the message is empty."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def describe_error(error: BaseException) -> str:
    """Return `ValueError: the first line of its message`, or `ValueError` if the message is empty."""
    name = type(error).__name__
    return f"{name}: {first_line(error)}" if str(error).strip() else name
