"""Signals that end a search: heard once, whatever library is at work when they come."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
SAME_SIGNAL_SECONDS = 0.3  # seconds


class SearchInterrupted(BaseException):
    """The search is to end now; what it has is kept. code: what the command returns, 128 and the signal's number."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class SignalGuard:
    """Takes Ctrl-C, SIGTERM and SIGHUP over, as a context; one that is ignored, as by `nohup`, stays so.

    While trials run, the first one waits for `check`, so that no library swallows it and no write is cut in two; at
    other times it is `Stopped` at once. A second one ends the process where it stands; one that comes right after the
    first is the same one, sent to the process and to its group.

    tell: called with the first one, so that other processes stop as well.
    """

    def __init__(self, *, exit_on_second: bool = True) -> None:
        self.exit_on_second = exit_on_second
        self.first_signal_time = 0.0
        self.received_signal: int | None = None
        self.is_deferred = False
        self.on_first_signal: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        signal_numbers = [getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)]
        self.previous_handlers = {number: signal.getsignal(number) for number in signal_numbers}
        for number, handler in self.previous_handlers.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, self._handle_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)

    def _handle_signal(self, signum: int, frame: FrameType | None) -> None:
        if self.received_signal is not None:
            if not self.exit_on_second or time.monotonic() - self.first_signal_time < SAME_SIGNAL_SECONDS:
                return
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), b"\x1b[?25h\n")  # the bars have hidden the cursor
            os._exit(128 + signum)
        self.received_signal, self.first_signal_time = signum, time.monotonic()
        self.on_first_signal()
        if not self.is_deferred:
            self.raise_if_interrupted()

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a signal waits for `check`."""
        self.is_deferred = True
        try:
            yield
        finally:
            self.is_deferred = False

    def raise_if_interrupted(self) -> None:
        """Raises `Stopped` where a signal was heard."""
        if self.received_signal is not None:
            raise SearchInterrupted(128 + self.received_signal)
