"""The search as it went: the score of each trial, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.report.drawing.figure import Chart, Figure, Kind, Series
from pipeline.report.trials_table import Tried, listed, many, named
from pipeline.study.trial_record import Row

STATES = ("complete", "pruned", "diverged", "failed")
LATE = 0.8  # of the trials: an improvement after that says that more trials may find more


def history(tried: Tried) -> Figure:
    """Each trial by its number; failed and diverged ones without a score stand at the edge."""
    series = [_best_so_far(tried), *(_points(tried, state) for state in STATES)]
    drawn = Chart("trial", tried.score, tuple(each for each in series if each.x))
    return Figure("history", "The search, trial by trial", _words(tried), drawn)


def _points(tried: Tried, state: str) -> Series:
    rows = [row for row in tried.rows if row.state == state]
    kind: Kind = "points"
    labels = [tried.label(row) for row in rows]
    return Series(state, kind, [row.number for row in rows], [tried.drawn(row.value) for row in rows], labels=labels)


def improvements(tried: Tried) -> list[Row]:
    """The trials that were the best so far when they ended, in order of number."""
    found: list[Row] = []
    for row in tried.complete:
        if not found or tried.better(row.value, found[-1].value) > 0:
            found.append(row)
    return found


def _best_so_far(tried: Tried) -> Series:
    """Steps: from each improvement level until the next."""
    steps = improvements(tried)
    ends = [row.number for row in steps[1:]] + [tried.rows[-1].number]
    x: Sequence[float] = [place for row, end in zip(steps, ends, strict=True) for place in (row.number, end)]
    return Series("best so far", "line", x, [tried.drawn(row.value) for row in steps for _ in range(2)])


def _words(tried: Tried) -> str:
    counts = {state: sum(row.state == state for row in tried.rows) for state in STATES}
    ended = listed([f"{count} {state}" for state, count in counts.items() if count])
    said = [f"{many(len(tried.rows), 'trial')}: {ended}.", _found(tried)]
    if beyond := sum(row.finite and tried.drawn(row.value) != row.value for row in tried.rows):
        said.append(f"{beyond} with a far worse score {'stands' if beyond == 1 else 'stand'} at the edge.")
    return " ".join(said)


def _found(tried: Tried) -> str:
    best, first = tried.best, tried.rows[0]
    score = f"The best, {named(best)}, has {tried.sure(best)}"
    if best is first:
        return f"{score}: it is the first one, the baseline, and no other was better."
    gained = f"; the first one, the baseline, has {tried.says(first.value)}" if first.finite else ""
    if best.value == (1.0 if tried.maximise else 0.0):
        return f"{score}{gained}. No score can be better."
    place, last = tried.rows.index(best), len(tried.rows) - 1  # numbers may be missing
    if place >= LATE * last:
        return f"{score}{gained}. It came late, so more trials may well find a better one."
    return f"{score}{gained}. The {many(last - place, 'trial')} after it found nothing better."
