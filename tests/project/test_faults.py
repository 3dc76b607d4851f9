"""Inject every fault of `make faults` in its short form."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.faults.__main__ import ROWS
from tests.faults.row import Row


@pytest.fixture(scope="session")
def server() -> Iterator[subprocess.Popen[str]]:
    """Start the process with the libraries imported, from which every search is forked."""
    command = [sys.executable, "-m", "tests.faults", "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name} {row.fault}")
def test_fault_leaves_what_it_must(row: Row, server: subprocess.Popen[str]) -> None:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(f"{ROWS.index(row)}\n")
    server.stdin.flush()
    figure, reached = json.loads(server.stdout.readline())
    if figure.startswith("not tested"):
        pytest.skip(figure)
    assert reached, figure
