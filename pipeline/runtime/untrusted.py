"""Untrusted files: opened once, read as plain data, or refused in one line."""

import json
import os
import stat
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from pipeline.runtime.errors import UserError
from pipeline.runtime.text import escape_unprintable

MAX_VALUE_CHARS = 60
MAX_JSON_KEYS = 100
MAX_JSON_BRACKETS = 2**16


class UntrustedFileError(UserError):
    """Invalid content of an untrusted file; the message has the field, the rule and the value."""


def read_bounded(file: Path, min_bytes: int, max_bytes: int) -> bytes:
    """Return the bytes of a regular file of `min_bytes` to `max_bytes`; raise UntrustedFileError for others.

    No link is followed, no pipe waited for and no device read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        if file.is_dir():
            raise UntrustedFileError("must be a plain file that can be read; got a folder")
        stream = os.fdopen(os.open(file, flags), "rb")
    except FileNotFoundError:
        raise UntrustedFileError("no such file") from None
    except OSError as error:
        reason = "a link" if file.is_symlink() else error.strerror
        raise UntrustedFileError(f"must be a plain file that can be read; got: {reason}") from None
    with stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UntrustedFileError("must be a plain file that can be read; got a pipe or a device")
        if not min_bytes <= status.st_size <= max_bytes:
            raise UntrustedFileError(f"must have {min_bytes:,} to {max_bytes:,} bytes; got {status.st_size:,}")
        return stream.read(status.st_size)


def parse_json_strict(text: bytes, max_keys: int = MAX_JSON_KEYS) -> Any:
    """Return the value of JSON in UTF-8; raise UntrustedFileError if invalid, with a repeated key or with NaN."""
    if (brackets := text.count(b"[") + text.count(b"{")) > MAX_JSON_BRACKETS:
        rule = f"must have at most {MAX_JSON_BRACKETS:,} lists and objects"
        raise UntrustedFileError(f"{rule}; got {brackets:,} brackets")
    build = partial(_build_object, max_keys)
    try:
        return json.loads(text.decode(), object_pairs_hook=build, parse_constant=_reject_non_finite)
    except RecursionError:
        raise UntrustedFileError("must be JSON of a few levels; got a nest of brackets") from None
    except UnicodeDecodeError as error:
        raise UntrustedFileError(f"must be JSON in UTF-8; got another byte at {error.start}") from None
    except ValueError as error:
        raise UntrustedFileError(f"must be JSON ({escape_unprintable(str(error))[:MAX_VALUE_CHARS]})") from None


def _build_object(max_keys: int, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > max_keys:
        raise UntrustedFileError(f"must have at most {max_keys:,} keys in one place; got {len(pairs):,}")
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        duplicate = next(key for key in keys if keys.count(key) > 1)
        raise UntrustedFileError(f"{ascii_repr(duplicate)}: must be given once; got it {keys.count(duplicate)} times")
    return result


def _reject_non_finite(literal: str) -> NoReturn:
    raise UntrustedFileError(f"must have numbers that are finite; got {literal}")


def ascii_repr(value: object, max_chars: int = MAX_VALUE_CHARS) -> str:
    """Return a short representation of a value, with every character that is not ASCII escaped."""
    if isinstance(value, dict | list | tuple):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value):,}"
    text = ascii(str(value)[: max_chars + 1])[1:-1]
    return text if len(text) <= max_chars else f"{text[:max_chars]}..."
