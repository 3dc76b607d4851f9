"""Every row of `make faults`, in its short form."""

from pathlib import Path

import pytest

from tests.faults.__main__ import ROWS
from tests.faults.row import Row


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name} {row.fault}")
def test_fault_leaves_what_it_must(row: Row, tmp_path: Path) -> None:
    measured = row.inject(row.short, tmp_path)
    assert measured.reached, measured.figure
