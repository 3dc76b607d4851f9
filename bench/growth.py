"""How the time of a trial and the memory grow with trials, rows, nodes and folds."""

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

from bench.cases import CASES, prepared
from bench.searches import ours, posed
from bench.sides import engine

TRIALS, NEAR = 1_000, 50


def table(what: str) -> Table:
    """What grows: trials, rows, nodes or folds."""
    found = Table(what, "time", "memory")
    for row in KINDS[what]():
        found.add_row(*row)
    return found


def _trials() -> Iterator[tuple[str, str, str]]:
    """One search of 1,000 trials in this process: the median time of a trial near each place, and the memory there.

    Every trial has the same network, so that a trial takes longer only where the search itself does.
    """
    ended: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        search, question = posed("digits", TRIALS, Path(folder), ["model.nodes=[32]", "sampler=tpe"])
        ours(search, question, lambda: ended.append((time.perf_counter(), _resident())))
    for place in (10, 100, 250, 500, TRIALS - NEAR):
        spans = [later[0] - sooner[0] for sooner, later in pairwise(ended[place : place + NEAR])]
        yield str(place), f"{1000 * statistics.median(spans):.1f} ms a trial", f"{ended[place][1]:.0f} MB"


def _rows() -> Iterator[tuple[str, str, str]]:
    for rows in (1_000, 2_000, 4_000, 8_000):
        yield str(rows), _spent("B", rows=rows), f"{_peak()} MB at most so far"


def _nodes() -> Iterator[tuple[str, str, str]]:
    for nodes in (16, 32, 64, 128, 256, 512):
        yield f"{nodes},{nodes}", _spent("B", hidden=(nodes, nodes)), f"{_peak()} MB at most so far"


def _folds() -> Iterator[tuple[str, str, str]]:
    for folds in (2, 5, 10, 20):
        yield str(folds), _spent("B", folds=folds), f"{_peak()} MB at most so far"


def _spent(name: str, rows: int = 2_000, folds: int = 5, hidden: tuple[int, ...] | None = None) -> str:
    """Milliseconds a fold and epoch of the engine, the median of five."""
    case = replace(CASES[name], epochs=4, hidden=hidden or CASES[name].hidden)
    task, data = prepared(case, rows, folds)
    times = []
    for _ in range(6):
        begin = time.perf_counter()
        engine(case, task, data)
        times.append(1000 * (time.perf_counter() - begin) / (folds * case.epochs))
    return f"{statistics.median(times[1:]):.2f} ms a fold-epoch"


def _resident() -> float:
    """MB of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


KINDS = {"trials": _trials, "rows": _rows, "nodes": _nodes, "folds": _folds}
