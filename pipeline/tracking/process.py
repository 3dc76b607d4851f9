"""The search's side of MLflow: a process that follows the study's record, so that training never waits for it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

PATIENCE, LITTLE = 120.0, 1.0  # seconds that an ended, and an interrupted, search waits for MLflow


class Tracker:
    """Started before the libraries that training needs, since MLflow takes as long to be imported.

    seconds: how long the search has waited for it.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.tracking.follower"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C is for the search
        )
        self.listener: Thread | None = None

    def begin(self, folder: Path, say: Callable[[str], object]) -> None:
        """Follows the study in a folder from now on; `say` is given each line for the person."""
        assert self.process.stdin is not None
        self.listener = Thread(target=self._listen, args=(say,), daemon=True)
        self.listener.start()
        with suppress(BrokenPipeError):  # it has died already, and `finish` says so
            self.process.stdin.write(f"{folder.resolve()}\n")
            self.process.stdin.flush()

    def _listen(self, say: Callable[[str], object]) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                say(line.rstrip("\n"))

    def finish(self) -> bool:
        """The study is over: waits until MLflow has all of it; whether it has."""
        begin = time.monotonic()
        try:
            return self._wait(PATIENCE) == 0
        finally:
            self.seconds += time.monotonic() - begin

    def _wait(self, seconds: float) -> int | None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # what it was told is still in the buffer, if it has died
            self.process.stdin.close()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It ends by itself, a little later where MLflow is slow; at once where nothing was begun."""
        if self.listener is None:
            self.process.kill()
        ended = self._wait(LITTLE) is not None
        if self.listener is not None:
            self.listener.join(LITTLE if ended else 0)
        elif self.process.stdout is not None:
            self.process.stdout.close()
