"""Signals that end a search, whichever library runs when they arrive."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAME_SIGNAL_SECONDS = 0.3  # Ctrl-C reaches a process and, once more, its group


class SearchInterrupted(BaseException):
    """Search interrupted by a signal; its progress is saved. exit_code: 128 + the signal's number."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class SignalGuard:
    """Context manager that handles SIGINT, SIGTERM and SIGHUP; a signal that `nohup` ignores stays ignored.

    The first signal calls `on_first_signal` and raises SearchInterrupted; within `deferred` it waits for
    `raise_if_interrupted`, so that no library swallows it and no write is cut in two. A second one ends the process.
    """

    def __init__(self, *, exit_on_second: bool = True) -> None:
        self.exit_on_second = exit_on_second
        self.first_signal_time = 0.0
        self.received_signal: int | None = None
        self.is_deferred = False
        self.on_first_signal: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        self.previous_handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        for number, handler in self.previous_handlers.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, self._handle_signal)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)

    def _handle_signal(self, signum: int, frame: FrameType | None) -> None:
        if self.received_signal is not None:
            if not self.exit_on_second or time.monotonic() - self.first_signal_time < SAME_SIGNAL_SECONDS:
                return
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), b"\x1b[?25h\n")  # the bars have hidden the cursor
            os._exit(128 + signum)
        self.received_signal = signum
        self.first_signal_time = time.monotonic()
        self.on_first_signal()
        if not self.is_deferred:
            self.raise_if_interrupted()

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let signals wait for `raise_if_interrupted`."""
        self.is_deferred = True
        try:
            yield
        finally:
            self.is_deferred = False

    def raise_if_interrupted(self) -> None:
        """Raise SearchInterrupted if a signal has arrived."""
        if self.received_signal is not None:
            raise SearchInterrupted(128 + self.received_signal)
