"""Kills a process at each step of what it writes: `kills` runs an action once for every step, until one run passes.

A step is a file opened for writing, a part written, a flush to the disk, or a change of a name in a folder; a part that
is being written at the end is cut in half. As `python -m tests.crash` it is the process whose children are killed.
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
KILLED = 77
NAMES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate")
FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def kills(setup: str, before: str, act: str, folder: Path) -> list[Path]:
    """A place for each step of `act` at which it was killed, and for the run that passed as the last one.

    All are Python's statements: `setup` runs once, `before` in each place ahead of `act`; they know it as `place`.
    """
    command = [sys.executable, "-m", "tests.crash", setup, before, act, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return sorted(folder.iterdir(), key=lambda place: int(place.name))


class Steps:
    """Counts the steps of this process from now on, and ends it at the n-th, as a kill would."""

    def __init__(self, last: int) -> None:
        self.left = last
        self.open, self.write, self.fsync = open, os.write, os.fsync
        sys.addaudithook(self._event)
        vars(os).update(write=self._write, fsync=self._fsync)
        vars(io)["open"] = vars(builtins)["open"] = self._open

    def cut(self, write: Callable[[Any], int], part: Any) -> int:
        """A step that writes a part; the last one writes half of it."""
        if self.left == 1:
            write(memoryview(part).cast("B")[: memoryview(part).nbytes // 2])
        self._step()
        return write(part)

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            os._exit(KILLED)

    def _event(self, event: str, details: tuple[Any, ...]) -> None:
        if event in NAMES or (event == "open" and details[2] & FOR_WRITING):
            self._step()

    def _write(self, descriptor: int, part: Any) -> int:
        return self.cut(lambda piece: self.write(descriptor, piece), part)

    def _fsync(self, descriptor: int) -> None:
        self._step()
        self.fsync(descriptor)

    def _open(self, file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
        """As `open`, through a file that counts; of files for reading and writing only the opening is counted."""
        if not set(mode) & set("wxa") or "+" in mode:
            return self.open(file, mode, buffering, *rest, **named)
        raw = Counted(self, file, mode.replace("b", "").replace("t", ""))
        if "b" in mode:
            return io.BufferedWriter(raw) if buffering else raw
        return io.TextIOWrapper(io.BufferedWriter(raw), *rest, **named)


class Counted(io.FileIO):
    """A file each part of which is a step."""

    def __init__(self, steps: Steps, file: Any, mode: str) -> None:
        super().__init__(file, mode)
        self.steps = steps

    def write(self, part: Any) -> int:
        return self.steps.cut(super().write, part)


def main(setup: str, before: str, act: str, folder: str) -> int:
    """Forks a child for each step, so that what `setup` loads is loaded once."""
    names: dict[str, Any] = {}
    exec(setup, names)
    for step in itertools.count(1):
        names["place"] = Path(folder) / str(step)
        names["place"].mkdir()
        exec(before, names)
        child = os.fork()
        if child == 0:
            _act(act, names, step)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != KILLED:
            return code
    raise AssertionError


def _act(act: str, names: dict[str, Any], last: int) -> None:
    code = 1
    try:
        Steps(last)
        exec(act, names)
        code = 0
    finally:
        sys.excepthook(*sys.exc_info()) if code else None  # type: ignore[arg-type]
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
