"""A process that writes a study to MLflow while the search trains; started by a search, never by hand."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import TextIO

from filelock import FileLock

from pipeline.tracking import system_metrics
from pipeline.tracking.sync import View

POLL = 0.2  # seconds
LONGEST_WAIT = 30.0  # seconds between two attempts
LAST_ATTEMPTS, LOCKED = 5.0, 90.0  # seconds, once the search has ended: a lock goes away, a server may not


class Follower:
    """Brings MLflow up to date again and again, until the search has ended, and then for the last time.

    Whatever goes wrong there is said once, and tried again: the search neither waits for it nor ends of it.
    """

    def __init__(self, folder: Path, words: TextIO, over: Event) -> None:
        self.folder, self.words, self.over = folder, words, over
        self.warned, self.wait, self.end = False, 1.0, float("inf")

    def run(self) -> int:
        """Returns 0 where MLflow has everything."""
        while True:
            try:
                with FileLock(self.folder / ".tracking.lock"):  # one that an earlier call left is waited for
                    self._follow()
                return 0
            except Exception as error:  # noqa: BLE001 -- a broken server has many faces
                self._warn(error)
                patience = LOCKED if "locked" in str(error) else LAST_ATTEMPTS
            if self.over.is_set():
                self.end, self.wait = min(self.end, time.monotonic() + patience), min(self.wait, 2.0)
                time.sleep(self.wait)
            else:
                self.over.wait(self.wait)
            self.wait = min(2 * self.wait, LONGEST_WAIT)
            if time.monotonic() > self.end:
                return 1

    def _follow(self) -> None:
        view = View(self.folder)
        view.configure()
        over = False
        while not over:
            over = self.over.wait(POLL)
            view.catch_up()
            self.wait = 1.0
        if registered := view.conclude():
            self._say(registered)

    def _warn(self, error: Exception) -> None:
        if not self.warned:
            first = (str(error) or type(error).__name__).splitlines()[0][:200]
            self._say(f"tracking: MLflow cannot be written to now; the search goes on and tries again ({first})")
            self.warned = True

    def _say(self, line: str) -> None:
        with suppress(BrokenPipeError):  # the search does not listen any more
            print(line, file=self.words, flush=True)


def main() -> int:
    """Reads the study's folder from its input; the input's end is the end of the search, however it ended."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(5)
    words = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no word of ours
    folder, over = sys.stdin.readline().rstrip("\n"), Event()
    if not folder:
        return 0
    Thread(target=_until_the_end, args=(over,), daemon=True).start()
    Thread(target=system_metrics.watch, args=(Path(folder), over, os.getppid()), daemon=True).start()
    return Follower(Path(folder), words, over).run()


def _until_the_end(over: Event) -> None:
    sys.stdin.read()
    over.set()


if __name__ == "__main__":
    os._exit(main())  # taking all the libraries down takes half a second, and the search waits
