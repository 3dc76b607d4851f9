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

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
SAME = 0.3  # seconds


class Stopped(BaseException):
    """The search is to end now; what it has is kept. code: what the command returns, 128 and the signal's number."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Interrupt:
    """Takes Ctrl-C, SIGTERM and SIGHUP over, as a context; one that is ignored, as by `nohup`, stays so.

    While trials run, the first one waits for `check`, so that no library swallows it and no write is cut in two; at
    other times it is `Stopped` at once. A second one ends the process where it stands; one that comes right after the
    first is the same one, sent to the process and to its group.

    tell: called with the first one, so that other processes stop as well.
    """

    def __init__(self, *, second: bool = True) -> None:
        self.second = second
        self.since = 0.0
        self.heard: int | None = None
        self.waits = False
        self.tell: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
        self.before = {number: signal.getsignal(number) for number in numbers}
        for number, handler in self.before.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.heard is not None:
            if not self.second or time.monotonic() - self.since < SAME:
                return
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), b"\x1b[?25h\n")  # the bars have hidden the cursor
            os._exit(128 + number)
        self.heard, self.since = number, time.monotonic()
        self.tell()
        if not self.waits:
            self.check()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Inside, a signal waits for `check`."""
        self.waits = True
        try:
            yield
        finally:
            self.waits = False

    def check(self) -> None:
        """Raises `Stopped` where a signal was heard."""
        if self.heard is not None:
            raise Stopped(128 + self.heard)
