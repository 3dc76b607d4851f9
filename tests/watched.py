"""Run `pipeline.predict` on each model given, and report what the interpreter did meanwhile.

`python -m tests.watched <good model> < models.json` reads a list of values for model= and prints a list of results. The
result of the good model comes first twice: on its first use, and once everything is imported.
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
from tests.crash import WRITE_FLAGS

ALLOWED_EVENTS = ("object.__", "sys._getframe", "os.listdir", "os.scandir", "builtins.id", "cpython.", "gc.")
MISSING_IMAGE = "nowhere.png"


class EventRecorder:
    """Record the files opened for reading, and every other event that a reader of data does not need."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.events: list[str] = []
        self.on = False
        sys.addaudithook(self._on_event)

    def _on_event(self, event: str, details: tuple[Any, ...]) -> None:
        if not self.on or event.startswith(ALLOWED_EVENTS):
            return
        if event == "open" and not (details[2] or 0) & WRITE_FLAGS:
            if not isinstance(details[0], int):
                self.opened.append(os.fsdecode(details[0]))
        else:
            self.events.append(f"{event} {str(details)[:200]}")

    def predict(self, model: str) -> dict[str, Any]:
        """Return exit code, output, errors, seconds, peak megabytes, files opened and other events of a prediction."""
        self.opened = []
        self.events = []
        reset_peak_memory()
        before = read_megabytes("VmRSS")
        begin = time.perf_counter()
        with redirect_stdout(io.StringIO()) as output, redirect_stderr(io.StringIO()) as errors:
            self.on = True
            try:
                code = predict.main([f"model={model}", "store=/nowhere", MISSING_IMAGE])
            finally:
                self.on = False
        return {
            "code": code,
            "output": output.getvalue(),
            "errors": errors.getvalue(),
            "seconds": time.perf_counter() - begin,
            "megabytes": read_megabytes("VmHWM") - before,
            "opened": self.opened,
            "events": self.events,
        }


def read_megabytes(field: str) -> float:
    """Return this process's memory now (VmRSS) or at its peak (VmHWM); 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 2**10 for line in lines if line.startswith(field)), 0.0)


def reset_peak_memory() -> None:
    """Set the peak that `read_megabytes` reads to the memory used now."""
    file = Path("/proc/self/clear_refs")
    if file.exists():
        file.write_text("5")


def main(good_model: str, models: Sequence[str]) -> None:
    """Print the results; use the good model and some missing ones first, so that no later model pays for imports."""
    recorder = EventRecorder()
    warm_up = [good_model, MISSING_IMAGE, f"{good_model}/nowhere", f"{good_model}/.."]
    first, *_ = [recorder.predict(model) for model in warm_up]
    json.dump([first, *(recorder.predict(model) for model in [good_model, *models])], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], json.load(sys.stdin))
