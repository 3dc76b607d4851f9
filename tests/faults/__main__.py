"""`make faults`: every fault, injected for real, with what came of it; ARGS="F3 F10" for some of the rows."""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults import kills
from tests.faults.row import Measured, Row

ROWS = [*kills.ROWS]


def main(names: list[str]) -> int:
    """Returns 1 where a row is not what it must be."""
    table, missed = Table("row", "fault", "must be", "is", "s"), 0
    for row in ROWS:
        if names and row.name not in names:
            continue
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            measured = _injected(row, Path(folder))
        missed += not measured.reached
        mark = "" if measured.reached else "NOT REACHED: "
        cells = [row.name, row.fault, row.target, mark + measured.figure, f"{time.monotonic() - begin:.0f}"]
        print(*cells, sep=" | ", flush=True)
        table.add_row(*cells)
    Console(width=150).print(table)
    return 1 if missed else 0


def _injected(row: Row, folder: Path) -> Measured:
    try:
        return row.inject(row.full, folder)
    except Exception as error:  # noqa: BLE001 -- the other rows are to be seen as well
        traceback.print_exc()
        return Measured(f"{type(error).__name__}: {error}", reached=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
