"""Write files atomically: to a temporary file beside them, which is flushed to the disk and then renamed."""

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
    """File or folder that cannot be written; its earlier version is unchanged."""

    exit_code = 1


@contextmanager
def _convert_os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileWriteError(f"{path}: cannot be written ({error.strerror or error})") from None


def make_folder(folder: Path) -> None:
    """Create a folder and its parents if they are missing; raise FileWriteError."""
    with _convert_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def atomic_path(file: Path) -> Iterator[Path]:
    """Yield a temporary path beside the file; at the end flush it to the disk and rename it to the file.

    A process killed meanwhile leaves the old file or the new one; files that killed writers left are removed. One
    thread of a process may write a file at a time. Raises FileWriteError.
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
    """Write or replace a file as `atomic_path` does."""
    with atomic_path(file) as temporary:
        temporary.write_bytes(content)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write or replace a folder of files; a process killed meanwhile leaves the old folder, the new one, or none.

    There is none only between two renames, since no call exchanges two folders on every system; the next write then
    restores the old one first. Raises FileWriteError.
    """
    with _convert_os_errors(folder):
        _remove_leftovers(folder)
        new = _sibling_path(folder, "new")
        old = _sibling_path(folder, "old")
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
    """Flush a file's content, or the names in a folder, to the disk: content is lost with its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(path: Path) -> None:
    """Remove what killed writers of this path left, but restore an old folder that nothing has replaced."""
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
    """Return the files that killed writers have left in a folder; not those of running processes."""
    pattern = re.compile(r"\..+\.(\d+)\.new", re.DOTALL)
    matches = [(file, pattern.fullmatch(file.name)) for file in (folder.iterdir() if folder.is_dir() else ())]
    return [file for file, left in matches if left and not _is_alive(int(left[1]))]


def _is_alive(pid: int) -> bool:
    """Return whether another process of that id runs: files of our own id were left by an earlier process."""
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
