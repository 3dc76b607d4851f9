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

FINISH_TIMEOUT_SECONDS, INTERRUPT_TIMEOUT_SECONDS = (
    120.0,
    1.0,
)  # seconds that an ended, and an interrupted, search waits for MLflow


def start_follower() -> subprocess.Popen[str]:
    """Start the follower's process, which waits on its standard input for the folder of a study."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.tracking.follower"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal's Ctrl-C is for the search
    )


class FollowerHandle:
    """Started before the libraries that training needs, since MLflow takes as long to be imported.

    seconds: how long the search has waited for it.
    """

    def __init__(self) -> None:
        self.wait_seconds = 0.0
        self.process = start_follower()
        self.listener_thread: Thread | None = None

    def start(self, folder: Path, on_line: Callable[[str], object]) -> None:
        """Follows the study in a folder from now on; `say` is given each line for the person."""
        assert self.process.stdin is not None
        self.listener_thread = Thread(target=self._forward_output, args=(on_line,), daemon=True)
        self.listener_thread.start()
        with suppress(BrokenPipeError):  # it has died already, and `finish` says so
            self.process.stdin.write(f"{folder.resolve()}\n")
            self.process.stdin.flush()

    def _forward_output(self, on_line: Callable[[str], object]) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                on_line(line.rstrip("\n"))

    def finish(self) -> bool:
        """The study is over: waits until MLflow has all of it; whether it has."""
        start_time = time.monotonic()
        try:
            return self._close_and_wait(FINISH_TIMEOUT_SECONDS) == 0
        finally:
            self.wait_seconds += time.monotonic() - start_time

    def _close_and_wait(self, timeout: float) -> int | None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # what it was told is still in the buffer, if it has died
            self.process.stdin.close()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """It ends by itself, a little later where MLflow is slow; at once where nothing was begun."""
        if self.listener_thread is None:
            self.process.kill()
        has_ended = self._close_and_wait(INTERRUPT_TIMEOUT_SECONDS) is not None
        if self.listener_thread is not None:
            self.listener_thread.join(INTERRUPT_TIMEOUT_SECONDS if has_ended else 0)
        elif self.process.stdout is not None:
            self.process.stdout.close()
