"""Files that are whole or not there: written beside their place, flushed to the disk, then moved there."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.runtime.errors import UserError


class FileWriteError(UserError):
    """What the disk does not take; what was there before is still there."""

    exit_code = 1


@contextmanager
def _convert_os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileWriteError(f"{path}: cannot be written ({error.strerror or error})") from None


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, where they are missing; raises NotWrittenError."""
    with _convert_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def atomic_path(file: Path) -> Iterator[Path]:
    """A place beside the file's to write it to; at the end it is flushed to the disk, and moved to the file's place.

    Whoever is killed meanwhile leaves the old file, or the new one; what killed writers left beside it goes. One thread
    of a process may write a file at a time. Raises NotWrittenError.
    """
    with _convert_os_errors(file):
        _remove_leftovers(file)
        temporary = _sibling_path(file, "new")
        try:
            yield temporary
            _fsync(temporary)
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
        _fsync(file.parent)


def write_file(file: Path, content: bytes) -> None:
    """Writes or replaces a file, as `moved_whole` does."""
    with atomic_path(file) as temporary:
        temporary.write_bytes(content)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes or replaces a folder of files; whoever is killed meanwhile leaves the old one, the new one, or none.

    The old one stays until the new one is whole, and then goes with all that is in it. There is none only between
    two moves, since no call exchanges two folders on every system; the next write puts the old one back first. Raises
    NotWrittenError.
    """
    with _convert_os_errors(folder):
        _remove_leftovers(folder)
        new, old = _sibling_path(folder, "new"), _sibling_path(folder, "old")
        try:
            new.mkdir(parents=True)
            for name, content in files.items():
                (new / name).write_bytes(content)
                _fsync(new / name)
            _fsync(new)
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
        finally:
            if old.exists() and not folder.exists():
                old.rename(folder)
            shutil.rmtree(new, ignore_errors=True)
        _fsync(folder.parent)
        shutil.rmtree(old, ignore_errors=True)


def _sibling_path(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{suffix}")


def _fsync(path: Path) -> None:
    """Makes a file's content last, or the names in a folder: flushed content is lost with its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(path: Path) -> None:
    """Removes what killed writers of this place left, but puts back an old one that nothing has replaced."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.(new|old)")
    for leftover in list(path.parent.iterdir()) if path.parent.is_dir() else []:
        match = pattern.fullmatch(leftover.name)
        if match and not _is_alive(int(match[1])):
            if match[2] == "old" and not path.exists():
                leftover.rename(path)
            elif leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()


def find_leftover_files(folder: Path) -> list[Path]:
    """The files that killed writers have left in a folder, whatever they wrote; a living one's are not among them."""
    pattern = re.compile(r"\..+\.(\d+)\.new", re.DOTALL)
    matches = [(file, pattern.fullmatch(file.name)) for file in (folder.iterdir() if folder.is_dir() else ())]
    return [file for file, left in matches if left and not _is_alive(int(left[1]))]


def _is_alive(pid: int) -> bool:
    """Whether another process of that number runs: ours has left what one before it with the same number left."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def check_regular_file(file: Path) -> None:
    """Raise OSError unless the file is a regular one: reading a pipe or a device may never end."""
    mode = file.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "a folder and no file")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file")
