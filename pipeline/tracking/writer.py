"""A process that writes trials to MLflow while the search trains the next ones; started by a search, never by hand."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from pipeline.tracking.entries import Entry

PIPE = 2**20  # bytes that wait for it; MLflow takes seconds to be imported


class Writer:
    """Takes trials as lines of JSON; it ends when it has written what it was given, also where the search is gone.

    lock: held as long as it lives, so that nobody looks for what is missing before it is done.
    """

    def __init__(self, uri: str, experiment: str, lock: Path) -> None:
        command = [sys.executable, "-m", "pipeline.tracking.writer", uri, experiment, str(lock)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
        assert self.process.stdin is not None
        if sys.platform == "linux":
            import fcntl

            with suppress(OSError):
                fcntl.fcntl(self.process.stdin.fileno(), fcntl.F_SETPIPE_SZ, PIPE)

    def add(self, entry: Entry) -> None:
        """Hands a trial over; raises BrokenPipeError where the process has died."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asdict(entry)) + "\n")
        self.process.stdin.flush()

    def finish(self) -> bool:
        """Waits until everything is written; whether it is."""
        self.process.communicate()
        return self.process.returncode == 0


def main(words: Sequence[str]) -> None:
    """words: the tracking address, the experiment's id, the lock's file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C comes to the search, which lets this one finish
    uri, experiment, lock = words
    with FileLock(lock):
        from mlflow import MlflowClient  # it takes seconds, in which the lock is to be held

        from pipeline.tracking.entries import Entry, write

        client = MlflowClient(uri)
        for line in sys.stdin:
            write(client, experiment, Entry(**json.loads(line)))


if __name__ == "__main__":
    main(sys.argv[1:])
