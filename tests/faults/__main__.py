"""Inject every fault for real and print the results (`make faults`).

python -m tests.faults [short] [F3 F10]    some of the rows; short: each a few times only, as the tests do
python -m tests.faults serve               the short form of each row whose index is read, until the input ends
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


def main(arguments: list[str]) -> int:
    """Print the table of faults, and return 1 if a row misses its target."""
    if arguments == ["serve"]:
        return serve()
    short = "short" in arguments
    names = [argument for argument in arguments if argument != "short"]
    table = Table("row", "fault", "target", "result", "s")
    missed = 0
    for row in [*ROWS, *([] if short else files.TEST_ROWS)]:
        if names and row.name not in names:
            continue
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
            measured = _inject(row, row.short if short else row.full, Path(folder))
        missed += not measured.reached
        mark = "" if measured.reached else "NOT REACHED: "
        cells = [row.name, row.fault, row.target, mark + measured.figure, f"{time.monotonic() - begin:.0f}"]
        print(*cells, sep=" | ", flush=True)
        table.add_row(*cells)
    if not short:
        Console(width=150).print(table)
        print("Not tested here: a real power failure, a GPU out of memory, a clock set during the search.")
    return 1 if missed else 0


def serve() -> int:
    """Read the index of a row from each line of the input, and print its figure and whether it is reached as JSON."""
    results = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # only results go to the pipe
    for line in sys.stdin:
        row = ROWS[int(line)]
        with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
            measured = _inject(row, row.short, Path(folder))
        print(json.dumps([measured.figure, measured.reached]), file=results, flush=True)
    return 0


def _inject(row: Row, count: int, folder: Path) -> Measured:
    try:
        return row.inject(count, folder)
    except Exception as error:  # noqa: BLE001 -- a row that fails does not stop the others
        traceback.print_exc()
        return Measured(f"{type(error).__name__}: {error}", reached=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
