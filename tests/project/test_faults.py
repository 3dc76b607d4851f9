"""Every row of `make faults`, in its short form."""

import subprocess
import sys

import pytest

from tests.faults.__main__ import ROWS
from tests.faults.row import Row


@pytest.fixture(scope="module")
def table() -> dict[str, str]:
    """What came of each fault, by its name; in a process of their own, since they are forked off it."""
    command = [sys.executable, "-m", "tests.faults", "short"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1_200)
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.count(" | ") >= 4]
    return {f"{name} {fault}": rest[1] for name, fault, *rest in rows} | {"": done.stderr}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name} {row.fault}")
def test_fault_leaves_what_it_must(row: Row, table: dict[str, str]) -> None:
    figure = table.get(f"{row.name} {row.fault}", f"not there: {table['']}")
    if figure.startswith("not tried"):
        pytest.skip(figure)
    assert not figure.startswith(("NOT REACHED", "not there")), figure
