"""Measure how the time of a trial and the memory grow with trials, rows, nodes and folds."""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from rich.table import Table

from bench.cases import CASES, prepare_case
from bench.searches import prepare_search, run_ours
from bench.sides import engine

TRIALS = 1_000
WINDOW = 50  # trials that a median is over


def build_table(kind: str) -> Table:
    """Return the table of times and memory over what grows: trials, rows, nodes or folds."""
    table = Table(kind, "time", "memory")
    for row in KINDS[kind]():
        table.add_row(*row)
    return table


def _trials() -> Iterator[tuple[str, str, str]]:
    """Run one search of 1,000 trials in this process; yield the median time of a trial and the memory at five points.

    Every trial has the same network, so that a trial takes longer only if the search itself does.
    """
    ended: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        search, problem = prepare_search("digits", TRIALS, Path(folder), ["model.nodes=[32]", "sampler=tpe"])
        run_ours(search, problem, lambda: ended.append((time.perf_counter(), _resident())))
    for place in (10, 100, 250, 500, TRIALS - WINDOW):
        spans = [later[0] - sooner[0] for sooner, later in pairwise(ended[place : place + WINDOW])]
        yield str(place), f"{1000 * statistics.median(spans):.1f} ms a trial", f"{ended[place][1]:.0f} MB"


def _rows() -> Iterator[tuple[str, str, str]]:
    for rows in (1_000, 2_000, 4_000, 8_000):
        yield str(rows), _time_engine("B", rows=rows), f"{_peak()} MB at most so far"


def _nodes() -> Iterator[tuple[str, str, str]]:
    for nodes in (16, 32, 64, 128, 256, 512):
        yield f"{nodes},{nodes}", _time_engine("B", hidden=(nodes, nodes)), f"{_peak()} MB at most so far"


def _folds() -> Iterator[tuple[str, str, str]]:
    for folds in (2, 5, 10, 20):
        yield str(folds), _time_engine("B", folds=folds), f"{_peak()} MB at most so far"


def _time_engine(name: str, rows: int = 2_000, folds: int = 5, hidden: tuple[int, ...] | None = None) -> str:
    """Return the milliseconds of the engine for a fold and epoch, the median of five."""
    case = replace(CASES[name], epochs=4, hidden=hidden or CASES[name].hidden)
    task, data = prepare_case(case, rows, folds)
    times = []
    for _ in range(6):
        begin = time.perf_counter()
        engine(case, task, data)
        times.append(1000 * (time.perf_counter() - begin) / (folds * case.epochs))
    return f"{statistics.median(times[1:]):.2f} ms a fold-epoch"


def _resident() -> float:
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


KINDS = {"trials": _trials, "rows": _rows, "nodes": _nodes, "folds": _folds}
