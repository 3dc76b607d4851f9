"""Files that are whole or not there: written beside their place, flushed to the disk, then moved there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class NotWrittenError(Exception):
    """What the disk does not take; what was there before is still there."""


@contextmanager
def _taken(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotWrittenError(f"{place}: cannot be written ({error.strerror or error})") from None


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, where they are missing; raises NotWrittenError."""
    with _taken(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def moved_whole(file: Path) -> Iterator[Path]:
    """A place beside the file's to write it to; at the end it is flushed to the disk, and moved to the file's place.

    Whoever is killed meanwhile leaves the old file, or the new one; what killed writers left beside it goes. One thread
    of a process may write a file at a time. Raises NotWrittenError.
    """
    with _taken(file):
        _sweep(file)
        new = _beside(file, "new")
        try:
            yield new
            _flush(new)
            new.replace(file)
        finally:
            new.unlink(missing_ok=True)
        _flush(file.parent)


def write_whole(file: Path, content: bytes) -> None:
    """Writes or replaces a file, as `moved_whole` does."""
    with moved_whole(file) as new:
        new.write_bytes(content)


def write_folder(folder: Path, content: Mapping[str, bytes]) -> None:
    """Writes or replaces a folder of files; whoever is killed meanwhile leaves the old one, the new one, or none.

    The old one stays until the new one is whole, and then goes with all that is in it. There is none only between
    two moves, since no call exchanges two folders on every system; the next write puts the old one back first. Raises
    NotWrittenError.
    """
    with _taken(folder):
        _sweep(folder)
        new, old = _beside(folder, "new"), _beside(folder, "old")
        try:
            new.mkdir(parents=True)
            for name, part in content.items():
                (new / name).write_bytes(part)
                _flush(new / name)
            _flush(new)
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
        finally:
            if old.exists() and not folder.exists():
                old.rename(folder)
            shutil.rmtree(new, ignore_errors=True)
        _flush(folder.parent)
        shutil.rmtree(old, ignore_errors=True)


def _beside(place: Path, what: str) -> Path:
    return place.with_name(f".{place.name}.{os.getpid()}.{what}")


def _flush(path: Path) -> None:
    """Makes a file's content last, or the names in a folder: flushed content is lost with its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(place: Path) -> None:
    """Removes what killed writers of this place left, but puts back an old one that nothing has replaced."""
    pattern = re.compile(rf"\.{re.escape(place.name)}\.(\d+)\.(new|old)")
    for left in list(place.parent.iterdir()) if place.parent.is_dir() else []:
        found = pattern.fullmatch(left.name)
        if found and not _lives(int(found[1])):
            if found[2] == "old" and not place.exists():
                left.rename(place)
            elif left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()


def abandoned(folder: Path) -> list[Path]:
    """The files that killed writers have left in a folder, whatever they wrote; a living one's are not among them."""
    pattern = re.compile(r"\..+\.(\d+)\.new", re.DOTALL)
    found = [(file, pattern.fullmatch(file.name)) for file in (folder.iterdir() if folder.is_dir() else ())]
    return [file for file, left in found if left and not _lives(int(left[1]))]


def _lives(process: int) -> bool:
    """Whether another process of that number runs: ours has left what one before it with the same number left."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()
