"""Ctrl-C while a search runs: heard once, whatever library is at work when it comes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self


class Interrupt:
    """Takes Ctrl-C over, as a context.

    While trials run, the first one waits for `check`, so that no library swallows it and no write is cut in two; at
    other times, and from the second one on, it is a KeyboardInterrupt at once. Where Ctrl-C is ignored, it stays so.
    """

    def __init__(self) -> None:
        self.heard = self.waits = False

    def __enter__(self) -> Self:
        self.before = signal.getsignal(signal.SIGINT)
        if self.before != signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self.before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        at_once = self.heard or not self.waits
        self.heard = True
        if at_once:
            raise KeyboardInterrupt

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Inside, Ctrl-C waits for `check`."""
        self.waits = True
        try:
            yield
        finally:
            self.waits = False

    def check(self) -> None:
        """Raises KeyboardInterrupt where Ctrl-C was heard."""
        if self.heard:
            raise KeyboardInterrupt
