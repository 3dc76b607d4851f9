"""Files that are whole or not there: what a killed process was writing is never taken for a result."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NotWrittenError(Exception):
    """A file that the disk does not take; what was there before is still there."""


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, where they are missing; raises NotWrittenError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWrittenError(f"{folder}: cannot be made ({error.strerror or error})") from None


def write_whole(file: Path, content: bytes) -> None:
    """The file has the old or the new content, also after a kill or a full disk."""
    with moved_whole(file) as temporary:
        temporary.write_bytes(content)


@contextmanager
def moved_whole(file: Path) -> Iterator[Path]:
    """A place beside the file's to write it to; at the end it is flushed to the disk, and moved to the file's place."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(file)
        _flush(file.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise NotWrittenError(f"{file}: cannot be written ({error.strerror or error})") from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
