"""Lock of a study: one process searches it at a time; the system frees the lock however that process ends."""

import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.runtime.errors import UserError
from pipeline.runtime.files import make_folder, write_file


def check_store_writable(store: Path) -> None:
    """Raise UserError if the store cannot be written to: called before anything is read or trained."""
    try:
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=store):
            pass
    except OSError as error:
        raise UserError(f"store: a folder that can be written to; got {store} ({error.strerror})") from None


@contextmanager
def lock_study(folder: Path) -> Iterator[None]:
    """Lock the study's folder, which is made if missing; raises UserError naming the process that holds the lock."""
    make_folder(folder)
    owner_file = folder / ".owner"
    lock = FileLock(folder / ".owner.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        owner = owner_file.read_text(encoding="utf-8") if owner_file.is_file() else "another process"
        message = f"study={folder.name} is being searched by {owner}; wait for it, or use another study="
        raise UserError(message) from None
    try:
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        write_file(owner_file, f"process {os.getpid()} on {platform.node() or 'this machine'} since {since}".encode())
        yield
    finally:
        lock.release()
