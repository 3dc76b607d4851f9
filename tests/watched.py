"""Asks `pipeline.predict` with each word it is given, and tells what the interpreter was asked to do meanwhile.

`python -m tests.watched <good model> < words.json`, a list of words for model=, prints what each came to, after what
the good model came to at first and once all was imported.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from pipeline import predict
from tests.crash import FOR_WRITING

ALLOWED = ("object.__", "sys._getframe", "os.listdir", "os.scandir", "builtins.id", "cpython.", "gc.")
NO_PICTURE = "nowhere.png"


class Watch:
    """What is opened for reading, and everything else that a reader of data has no need of."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.events: list[str] = []
        self.on = False
        sys.addaudithook(self._event)

    def _event(self, event: str, details: tuple[Any, ...]) -> None:
        if not self.on or event.startswith(ALLOWED):
            return
        if event == "open" and not (details[2] or 0) & FOR_WRITING:
            if not isinstance(details[0], int):
                self.opened.append(os.fsdecode(details[0]))
        else:
            self.events.append(f"{event} {str(details)[:200]}")

    def ask(self, word: str) -> dict[str, Any]:
        """Exit code, what was said, seconds, megabytes at the most, files opened, and other events."""
        self.opened, self.events = [], []
        forget_the_most()
        before, begin = megabytes("VmRSS"), time.perf_counter()
        with redirect_stdout(io.StringIO()) as said, redirect_stderr(io.StringIO()) as errors:
            self.on = True
            try:
                code = predict.main([f"model={word}", "store=/nowhere", NO_PICTURE])
            finally:
                self.on = False
        return {
            "code": code,
            "said": said.getvalue(),
            "errors": errors.getvalue(),
            "seconds": time.perf_counter() - begin,
            "megabytes": megabytes("VmHWM") - before,
            "opened": self.opened,
            "events": self.events,
        }


def megabytes(kind: str) -> float:
    """What this process has in memory (VmRSS), or had at the most since that was forgotten (VmHWM); or 0."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 2**10 for line in lines if line.startswith(kind)), 0.0)


def forget_the_most() -> None:
    """From now on the most is what there is."""
    file = Path("/proc/self/clear_refs")
    if file.exists():
        file.write_text("5")


def main(good: str, words: Sequence[str]) -> None:
    """Reads the good model first and last of the first few: what a first use imports is no word's doing."""
    watch = Watch()
    first = [watch.ask(word) for word in (good, NO_PICTURE, f"{good}/nowhere", f"{good}/..")]
    json.dump([first[0], *(watch.ask(word) for word in [good, *words])], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], json.load(sys.stdin))
