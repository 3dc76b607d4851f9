"""Progress bars with the time remaining: on a terminal only, on stderr, and removed when the work is over."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

ItemT = TypeVar("ItemT")
BAR_WIDTH = 24  # leaves room for description, counts and time remaining in 80 columns
MIN_SECONDS_AS_MINUTES = 90.0


def format_time_left(seconds: float) -> str:
    """Return `about 2 min left` or `about 40 s left`."""
    if seconds >= MIN_SECONDS_AS_MINUTES:
        return f"about {seconds / 60:.0f} min left"
    return f"about {max(seconds, 1):.0f} s left"


@contextmanager
def progress_bar(description: str, total: int | None, unit: str = "") -> Iterator[Callable[[int], None]]:
    """Show a progress bar, and yield the function that advances it; total: None if it is unknown."""
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(BAR_WIDTH),
        DownloadColumn() if unit == "bytes" else CompletedCount(),
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
    """Yield the items while a bar shows the progress; size_of: the share of an item in the total."""
    with progress_bar(description, total) as advance:
        for item in items:
            yield item
            advance(size_of(item))


@contextmanager
def spinner(description: str) -> Iterator[None]:
    """Show a spinner beside the description, for work of unknown length."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(file=sys.stderr).status(Text(description), spinner="line"):
        yield


class TimeRemaining(ProgressColumn):
    """Time remaining at the mean pace so far, as the latest pace jumps with work in batches; not if `timed=False`."""

    def render(self, task: Task) -> Text:
        """Return `about 12 s left` after the first second."""
        elapsed = task.elapsed or 0.0
        total = task.total or 0.0
        is_known = task.fields.get("timed", True) and elapsed > 1 and 0 < task.completed < total
        return Text(format_time_left(elapsed / task.completed * (total - task.completed)) if is_known else "")


class CompletedCount(ProgressColumn):
    """Number of completed items, with the total if it is known."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:,.0f}" + ("" if task.total is None else f"/{task.total:,.0f}"))
