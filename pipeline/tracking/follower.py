"""Process that writes a study to MLflow while the search trains; each search starts one."""

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
from pipeline.tracking.study_sync import StudySync

POLL_SECONDS = 0.2
MAX_RETRY_SECONDS = 30.0
FINAL_RETRY_SECONDS = 5.0  # after the end of the search
LOCKED_RETRY_SECONDS = 90.0  # the same for a locked database: a lock is released, a server may stay away


class FollowerProcess:
    """Loop that writes new trials to MLflow until the search has ended, and then once more.

    The first error is printed, and every failed write is retried; the search neither waits nor fails.
    """

    def __init__(self, folder: Path, output: TextIO, search_ended: Event) -> None:
        self.folder = folder
        self.output = output
        self.search_ended = search_ended
        self.has_warned = False
        self.retry_seconds = 1.0
        self.deadline = float("inf")

    def run(self) -> int:
        """Return 0 when MLflow has everything, or 1 if it could not be written in time."""
        while time.monotonic() <= self.deadline:
            try:
                with FileLock(self.folder / ".tracking.lock"):  # an earlier search's follower may still hold it
                    self._sync_until_end()
                return 0
            except Exception as error:  # noqa: BLE001 -- MLflow and its database raise errors of many types
                if not self.has_warned:
                    reason = f"the search continues and retries ({first_line(error)[:200]})"
                    self._print_line(f"tracking: MLflow cannot be written to now; {reason}")
                    self.has_warned = True
                grace_seconds = LOCKED_RETRY_SECONDS if "locked" in str(error) else FINAL_RETRY_SECONDS
            if self.search_ended.is_set():
                self.deadline = min(self.deadline, time.monotonic() + grace_seconds)
                self.retry_seconds = min(self.retry_seconds, 2.0)
                time.sleep(self.retry_seconds)
            else:
                self.search_ended.wait(self.retry_seconds)
            self.retry_seconds = min(2 * self.retry_seconds, MAX_RETRY_SECONDS)
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

    def _print_line(self, line: str) -> None:
        with suppress(BrokenPipeError):  # the search does not listen any more
            print(line, file=self.output, flush=True)


def main() -> int:
    """Follow the study whose folder is the first line of stdin; stdin ends with the search, also with a killed one."""
    for signal_number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_IGN)
    os.nice(5)
    # The search shows the user what comes through this pipe: the prints of libraries go to stderr instead.
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    folder = sys.stdin.readline().rstrip("\n")
    search_ended = Event()
    if not folder:
        return 0
    Thread(target=_wait_for_search_end, args=(search_ended,), daemon=True).start()
    arguments = (Path(folder), search_ended, os.getppid())
    Thread(target=system_metrics.record_system_metrics, args=arguments, daemon=True).start()
    return FollowerProcess(Path(folder), output, search_ended).run()


def _wait_for_search_end(search_ended: Event) -> None:
    sys.stdin.read()
    search_ended.set()


if __name__ == "__main__":
    os._exit(main())  # unloading the libraries takes half a second, for which the search would wait
