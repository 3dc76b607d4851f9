"""`make faults`: every fault, injected for real, with what came of it.

python -m tests.faults [short] [F3 F10]    some of the rows; short: each only a few times, as the tests do
python -m tests.faults serve               the short form of each row whose place is read, until the input ends
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults import disk, files, kills, server, trials
from tests.faults.row import Measured, Row

ROWS = [*kills.ROWS, *disk.ROWS, *trials.ROWS, *server.ROWS, *files.ROWS]


def main(words: list[str]) -> int:
    """Return 1 where a row is not what it must be."""
    if words == ["serve"]:
        return serve()
    names = [word for word in words if word != "short"]
    table, missed = Table("row", "fault", "must be", "is", "s"), 0
    for row in [*ROWS, *([] if "short" in words else files.IN_THE_TESTS)]:
        if names and row.name not in names:
            continue
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
            measured = _injected(row, row.short if "short" in words else row.full, Path(folder))
        missed += not measured.reached
        mark = "" if measured.reached else "NOT REACHED: "
        cells = [row.name, row.fault, row.target, mark + measured.figure, f"{time.monotonic() - begin:.0f}"]
        print(*cells, sep=" | ", flush=True)
        table.add_row(*cells)
    if "short" not in words:
        Console(width=150).print(table)
        print("Not tried here: a real loss of power, memory that runs out on a GPU, a clock that is set while it runs.")
    return 1 if missed else 0


def serve() -> int:
    """Answer each number of a row, a line of the input, with a line of JSON: what is, and whether it must be."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed is no answer
    for line in sys.stdin:
        row = ROWS[int(line)]
        with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
            measured = _injected(row, row.short, Path(folder))
        print(json.dumps([measured.figure, measured.reached]), file=answers, flush=True)
    return 0


def _injected(row: Row, count: int, folder: Path) -> Measured:
    try:
        return row.inject(count, folder)
    except Exception as error:  # noqa: BLE001 -- the other rows are to be seen as well
        traceback.print_exc()
        return Measured(f"{type(error).__name__}: {error}", reached=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
