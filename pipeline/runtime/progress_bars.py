"""Bars with a time left: on a terminal only, on standard error, and gone when the work is over."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

ItemT = TypeVar("ItemT")
BAR_WIDTH = 24  # of a bar; what it is of, the numbers and the time left stand beside it in 80 columns
MIN_SECONDS_AS_MINUTES = 90.0  # seconds, from where on minutes are said


def format_time_left(seconds: float) -> str:
    """A time as a person wants to know it."""
    return (
        f"about {seconds / 60:.0f} min left"
        if seconds >= MIN_SECONDS_AS_MINUTES
        else f"about {max(seconds, 1):.0f} s left"
    )


@contextmanager
def progress_bar(description: str, total: int | None, unit: str = "") -> Iterator[Callable[[int], None]]:
    """Inside, a bar shows how much of the total is done; what is yielded is told of each further part.

    said: what is done, in a few words. total: None where nobody knows. unit: `bytes`, where megabytes are to be said.
    """
    amount_column = _CompletedMegabytes() if unit == "bytes" else CompletedCount()
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(BAR_WIDTH),
        amount_column,
        TimeRemaining(),
        console=Console(file=sys.stderr, highlight=False, emoji=False),
        transient=True,
        disable=not sys.stderr.isatty(),
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        task = progress.add_task(description, total=total)
        yield lambda more: progress.advance(task, more)


def track(
    items: Iterable[ItemT], description: str, total: int, size_of: Callable[[ItemT], int] = lambda _: 1
) -> Iterator[ItemT]:
    """The items, while a bar shows how far their reader has come; each: how much of the total an item is."""
    with progress_bar(description, total) as advance:
        for item in items:
            yield item
            advance(size_of(item))


@contextmanager
def spinner(description: str) -> Iterator[None]:
    """Inside, a line says what is waited for, where nobody can know for how long."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(file=sys.stderr).status(Text(description), spinner="line"):
        yield


class TimeRemaining(ProgressColumn):
    """How long the rest will take at the pace so far; work that comes in batches would make the latest pace jump.

    A bar whose field `timed` is False says nothing of it: it began before.
    """

    def render(self, task: Task) -> Text:
        """`about 12 s left`, once it can be told."""
        elapsed, total = task.elapsed or 0.0, task.total or 0.0
        is_known = task.fields.get("timed", True) and elapsed > 1 and 0 < task.completed < total
        return Text(format_time_left(elapsed / task.completed * (total - task.completed)) if is_known else "")


class CompletedCount(ProgressColumn):
    """How many are done of how many; only the former, where nobody knows the latter."""

    def render(self, task: Task) -> Text:
        total = "" if task.total is None else f"/{task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{total}")


class _CompletedMegabytes(ProgressColumn):
    """How much has come of how much."""

    def render(self, task: Task) -> Text:
        total = f"/{task.total / 1e6:.0f}" if task.total else ""
        return Text(f"{task.completed / 1e6:.0f}{total} MB")
