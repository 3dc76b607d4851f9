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

from pipeline.runtime.errors import first_line
from pipeline.tracking import system_metrics
from pipeline.tracking.sync import StudySync

POLL_SECONDS = 0.2  # seconds
MAX_RETRY_SECONDS = 30.0  # seconds between two attempts
FINAL_RETRY_SECONDS, LOCKED_RETRY_SECONDS = (
    5.0,
    90.0,
)  # seconds, once the search has ended: a lock goes away, a server may not


class FollowerProcess:
    """Brings MLflow up to date again and again, until the search has ended, and then for the last time.

    Whatever goes wrong there is said once, and tried again: the search neither waits for it nor ends of it.
    """

    def __init__(self, folder: Path, output: TextIO, search_ended: Event) -> None:
        self.folder, self.output, self.search_ended = folder, output, search_ended
        self.has_warned, self.retry_seconds, self.deadline = False, 1.0, float("inf")

    def run(self) -> int:
        """Returns 0 where MLflow has everything."""
        while True:
            try:
                with FileLock(self.folder / ".tracking.lock"):  # one that an earlier call left is waited for
                    self._sync_until_end()
                return 0
            except Exception as error:  # noqa: BLE001 -- a broken server has many faces
                self._warn_once(error)
                grace_seconds = LOCKED_RETRY_SECONDS if "locked" in str(error) else FINAL_RETRY_SECONDS
            if self.search_ended.is_set():
                self.deadline, self.retry_seconds = (
                    min(self.deadline, time.monotonic() + grace_seconds),
                    min(self.retry_seconds, 2.0),
                )
                time.sleep(self.retry_seconds)
            else:
                self.search_ended.wait(self.retry_seconds)
            self.retry_seconds = min(2 * self.retry_seconds, MAX_RETRY_SECONDS)
            if time.monotonic() > self.deadline:
                return 1

    def _sync_until_end(self) -> None:
        study_sync = StudySync(self.folder)
        study_sync.log_configuration()
        has_ended = False
        while not has_ended:
            has_ended = self.search_ended.wait(POLL_SECONDS)
            study_sync.log_new_trials()
            self.retry_seconds = 1.0
        if registration_message := study_sync.finalize():
            self._print_line(registration_message)

    def _warn_once(self, error: Exception) -> None:
        if not self.has_warned:
            self._print_line(
                f"tracking: MLflow cannot be written to now; the search goes on and tries again ({first_line(error)[:200]})"
            )
            self.has_warned = True

    def _print_line(self, line: str) -> None:
        with suppress(BrokenPipeError):  # the search does not listen any more
            print(line, file=self.output, flush=True)


def main() -> int:
    """Reads the study's folder from its input; the input's end is the end of the search, however it ended."""
    for signal_number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(5)
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no word of ours
    folder, search_ended = sys.stdin.readline().rstrip("\n"), Event()
    if not folder:
        return 0
    Thread(target=_wait_for_search_end, args=(search_ended,), daemon=True).start()
    Thread(
        target=system_metrics.record_system_metrics, args=(Path(folder), search_ended, os.getppid()), daemon=True
    ).start()
    return FollowerProcess(Path(folder), output, search_ended).run()


def _wait_for_search_end(search_ended: Event) -> None:
    sys.stdin.read()
    search_ended.set()


if __name__ == "__main__":
    os._exit(main())  # taking all the libraries down takes half a second, and the search waits
