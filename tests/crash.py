"""Kill a process at each write step: `kill_at_every_step` repeats an action until one run survives to its end.

A step is a file opened for writing, a chunk written, a flush to the disk, or a name changed in a folder. A chunk
being written at the kill is cut in half. `python -m tests.crash` is the process whose children are killed.
"""

from __future__ import annotations

import builtins
import io
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KILLED_EXIT_CODE = 77
WRITE_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate")
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def kill_at_every_step(setup: str, before: str, action: str, folder: Path) -> list[Path]:
    """Run `action` once for each of its steps, kill it there, and return the directory of each run in order.

    The last run is the one that was not killed. All three texts are Python statements: `setup` runs once, `before` in
    each directory ahead of `action`; both of the latter use that directory under the name `directory`.
    """
    command = [sys.executable, "-m", "tests.crash", setup, before, action, str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return sorted(folder.iterdir(), key=lambda directory: int(directory.name))


class StepKiller:
    """Count the write steps of this process from now on, and exit at the n-th one as a kill would."""

    def __init__(self, step: int) -> None:
        self.remaining = step
        self.open = open
        self.write = os.write
        self.fsync = os.fsync
        sys.addaudithook(self._on_event)
        vars(os).update(write=self._write, fsync=self._fsync)
        vars(io)["open"] = vars(builtins)["open"] = self._open

    def write_chunk(self, write: Callable[[Any], int], chunk: Any) -> int:
        """Write a chunk as one step; the last step writes half of it before the process exits."""
        if self.remaining == 1:
            write(memoryview(chunk).cast("B")[: memoryview(chunk).nbytes // 2])
        self._step()
        return write(chunk)

    def _step(self) -> None:
        self.remaining -= 1
        if self.remaining == 0:
            os._exit(KILLED_EXIT_CODE)

    def _on_event(self, event: str, details: tuple[Any, ...]) -> None:
        if event in WRITE_EVENTS or (event == "open" and details[2] & WRITE_FLAGS):
            self._step()

    def _write(self, descriptor: int, chunk: Any) -> int:
        return self.write_chunk(lambda piece: self.write(descriptor, piece), chunk)

    def _fsync(self, descriptor: int) -> None:
        self._step()
        self.fsync(descriptor)

    def _open(self, file: Any, mode: str = "r", buffering: int = -1, *args: Any, **kwargs: Any) -> Any:
        """Open a file whose writes are counted; of files for reading and writing only the opening is counted."""
        if not set(mode) & set("wxa") or "+" in mode:
            return self.open(file, mode, buffering, *args, **kwargs)
        raw = CountedFile(self, file, mode.replace("b", "").replace("t", ""))
        if "b" in mode:
            return io.BufferedWriter(raw) if buffering else raw
        return io.TextIOWrapper(io.BufferedWriter(raw), *args, **kwargs)


class CountedFile(io.FileIO):
    """Count each chunk written to a file as a step."""

    def __init__(self, killer: StepKiller, file: Any, mode: str) -> None:
        super().__init__(file, mode)
        self.killer = killer

    def write(self, chunk: Any) -> int:
        return self.killer.write_chunk(super().write, chunk)


def main(setup: str, before: str, action: str, folder: str) -> int:
    """Fork a child for each step, so that what `setup` imports is imported once; return the last exit code."""
    namespace: dict[str, Any] = {}
    exec(setup, namespace)
    for step in itertools.count(1):
        directory = Path(folder) / str(step)
        directory.mkdir()
        namespace["directory"] = directory
        exec(before, namespace)
        child = os.fork()
        if child == 0:
            _run_until_step(action, namespace, step)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != KILLED_EXIT_CODE:
            return code
    raise AssertionError


def _run_until_step(action: str, namespace: dict[str, Any], step: int) -> None:
    code = 1
    try:
        StepKiller(step)
        exec(action, namespace)
        code = 0
    finally:
        sys.excepthook(*sys.exc_info()) if code else None  # type: ignore[arg-type]
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
