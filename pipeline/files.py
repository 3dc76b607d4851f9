"""Files that are whole or not there: written beside their place, flushed to the disk, then moved there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path


def write_whole(file: Path, content: bytes) -> None:
    """Writes or replaces a file; whoever is killed meanwhile leaves the old one, or the new one.

    What killed writers left beside it goes. One thread of a process may write a file at a time.
    """
    _sweep(file)
    new = _beside(file, "new")
    try:
        _write(new, content)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
    _flush(file.parent)


def write_folder(folder: Path, content: Mapping[str, bytes]) -> None:
    """Writes or replaces a folder of files; whoever is killed meanwhile leaves the old one, the new one, or none.

    The old one stays until the new one is whole, and then goes with all that is in it. There is none only between
    two moves, since no call exchanges two folders on every system; the next write puts the old one back first.
    """
    _sweep(folder)
    new, old = _beside(folder, "new"), _beside(folder, "old")
    try:
        new.mkdir(parents=True)
        for name, part in content.items():
            _write(new / name, part)
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


def _write(file: Path, content: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _flush(folder: Path) -> None:
    """Makes the names in a folder last: the flushed content of a file is lost with its name."""
    descriptor = os.open(folder, os.O_RDONLY)
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


def _lives(process: int) -> bool:
    """Whether another process of that number runs: ours has left what one before it with the same number left."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()
