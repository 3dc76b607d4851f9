"""What a stranger's file says: opened once, read as plain data, or refused in one line."""

from __future__ import annotations

import json
import os
import stat
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from pipeline.runtime.text import printable

LONGEST = 60
MOST_KEYS, MOST_BRACKETS = 100, 2**16


class RefusedError(Exception):
    """What a stranger's file says is not taken: which field, the rule, and what it got."""


def content(file: Path, least: int, most: int) -> bytes:
    """The bytes of a regular file, if it has so many; whoever changes it afterwards changes nothing here.

    A link is not followed, a pipe not waited for, a device not read. Raises RefusedError.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        if file.is_dir():
            raise RefusedError("must be a plain file that can be read; got a folder")
        stream = os.fdopen(os.open(file, flags), "rb")
    except FileNotFoundError:
        raise RefusedError("no such file") from None
    except OSError as error:
        why = "a link" if file.is_symlink() else error.strerror
        raise RefusedError(f"must be a plain file that can be read; got: {why}") from None
    with stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError("must be a plain file that can be read; got a pipe or a device")
        if not least <= status.st_size <= most:
            raise RefusedError(f"must have {least:,} to {most:,} bytes; got {status.st_size:,}")
        return stream.read(status.st_size)


def parsed(text: bytes, most_keys: int = MOST_KEYS) -> Any:
    """What JSON in UTF-8 says; raises RefusedError for all else, such as a key said twice or a number that is none."""
    if (brackets := text.count(b"[") + text.count(b"{")) > MOST_BRACKETS:
        raise RefusedError(f"must have at most {MOST_BRACKETS:,} lists and objects; got {brackets:,} brackets")
    try:
        return json.loads(text.decode(), object_pairs_hook=partial(_object, most_keys), parse_constant=_no_number)
    except RecursionError:
        raise RefusedError("must be JSON of a few levels; got a nest of brackets") from None
    except UnicodeDecodeError as error:
        raise RefusedError(f"must be JSON in UTF-8; got another byte at {error.start}") from None
    except ValueError as error:
        raise RefusedError(f"must be JSON ({printable(str(error))[:LONGEST]})") from None


def _object(most: int, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > most:
        raise RefusedError(f"must have at most {most:,} keys in one place; got {len(pairs):,}")
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RefusedError(f"{shown(twice)}: must be said once; got it {keys.count(twice)} times")
    return found


def _no_number(word: str) -> NoReturn:
    raise RefusedError(f"must have numbers that are finite; got {word}")


def shown(value: object, most: int = LONGEST) -> str:
    """A value from outside on part of a line: short, and each letter that is not plain ASCII by its number."""
    if isinstance(value, dict | list | tuple):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value):,}"
    text = ascii(str(value)[: most + 1])[1:-1]
    return text if len(text) <= most else f"{text[:most]}..."
