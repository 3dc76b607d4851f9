"""Tracker of a search: the handle of the follower's process, which writes to MLflow while the search trains."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Self

FINISH_TIMEOUT_SECONDS = 120.0  # for which a finished search waits for MLflow
INTERRUPT_TIMEOUT_SECONDS = 1.0  # for which an interrupted one waits


def start_follower() -> subprocess.Popen[str]:
    """Start the follower's process, which waits on its standard input for the folder of a study."""
    command = [sys.executable, "-m", "pipeline.tracking.follower"]
    pipe = subprocess.PIPE
    # A session of its own: a terminal's Ctrl-C is for the search.
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)


class Tracker:
    """Context manager of the follower's process, which starts while the search imports its own libraries.

    wait_seconds: time for which the search has waited for it.
    """

    def __init__(self) -> None:
        self.wait_seconds = 0.0
        self.process = start_follower()
        self.listener_thread: Thread | None = None

    def start(self, folder: Path, on_line: Callable[[str], object]) -> None:
        """Send the process the folder of a study to follow; on_line: called with each line for the user."""
        assert self.process.stdin is not None
        self.listener_thread = Thread(target=self._forward_output, args=(on_line,), daemon=True)
        self.listener_thread.start()
        with suppress(BrokenPipeError):  # the process has died, which `finish` reports
            self.process.stdin.write(f"{folder.resolve()}\n")
            self.process.stdin.flush()

    def _forward_output(self, on_line: Callable[[str], object]) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                on_line(line.rstrip("\n"))

    def finish(self) -> bool:
        """Wait until MLflow has the whole study, at most two minutes; return whether it has."""
        start_time = time.monotonic()
        exit_code = self._close_and_wait(FINISH_TIMEOUT_SECONDS)
        self.wait_seconds += time.monotonic() - start_time
        return exit_code == 0

    def _close_and_wait(self, timeout: float) -> int | None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # closing flushes the buffer, also to a dead process
            self.process.stdin.close()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Let the process end by itself, or kill it if it follows no study."""
        if self.listener_thread is None:
            self.process.kill()
        has_ended = self._close_and_wait(INTERRUPT_TIMEOUT_SECONDS) is not None
        if self.listener_thread is not None:
            self.listener_thread.join(INTERRUPT_TIMEOUT_SECONDS if has_ended else 0)
        elif self.process.stdout is not None:
            self.process.stdout.close()
