"""What a person sees while a search runs: one bar for the search and one for each hand, or a line a trial."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from pipeline.runtime.progress_bars import WIDTH, Left, left

if TYPE_CHECKING:
    from pipeline.study.study import Proposal
    from pipeline.study.trial_record import Row


def number(value: float, metric: str) -> str:
    """A score as a person reads it: a share with three digits, an error with four significant ones or whole."""
    if not math.isfinite(value):
        return "-"
    if metric != "mean_absolute_error":
        return f"{value:.3f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


def network(fields: Mapping[str, Any]) -> str:
    """A network in words: the channels of its blocks, where it has some, and its hidden layers' widths."""
    nodes = str(fields["model.nodes"]).replace("-", ",") or "no hidden layer"
    channels = str(fields.get("model.channels", "")).replace("-", ",")
    return f"{channels} channels, {nodes}" if channels else nodes


class Display:
    """Bars on a terminal; elsewhere a plain line for each finished trial."""

    def __init__(self, console: Console, metric: str, total: int, done: int, best: Row | None, hands: int = 1) -> None:
        self.console, self.metric, self.total, self.done = console, metric, total, done
        self.best, self.begin, self.here = best, time.monotonic(), 0
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(WIDTH),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[note]}"),
            Left(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.search = self.progress.add_task("search", total=total, completed=done, note=self._note(), timed=False)
        self.trials = [self.progress.add_task("trial", total=1, note="") for _ in range(hands)]

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def start(self, hand: int, proposals: Sequence[Proposal]) -> None:
        """A hand begins with some trials, side by side."""
        first, last = proposals[0].number, proposals[-1].number
        name = f"trial {first}" if len(proposals) == 1 else f"trials {first} to {last}"
        nodes = network(proposals[0].candidate.fields)
        epochs = max(proposal.candidate.training.all_epochs for proposal in proposals)
        self.progress.reset(self.trials[hand], total=epochs, description=name, note=nodes)

    def epoch(self, hand: int, epoch: int) -> None:
        """An epoch of what a hand trains is over."""
        self.progress.update(self.trials[hand], completed=epoch)

    def finish(self, row: Row, best: Row | None) -> None:
        """A trial is over."""
        self.done, self.here, self.best = self.done + 1, self.here + 1, best
        self.progress.update(self.search, completed=self.done, note=self._note())
        mark = "  best so far" if best is not None and best.number == row.number else ""
        value = f"{self.metric} {number(row.value, self.metric)}" if row.finite else row.reason
        nodes = network(row.fields)
        self.console.print(
            f"trial {row.number:>3} {row.state:<8} {value}  epoch {row.epoch:>3}  {row.seconds:5.1f} s  {nodes}{mark}",
            highlight=False,
            soft_wrap=True,
        )

    def _note(self) -> str:
        if self.best is None:
            return ""
        seconds = (time.monotonic() - self.begin) / self.here * (self.total - self.done) if self.here else 0.0
        more = f", {left(seconds)}" if seconds > 0 else ""
        return f"best {number(self.best.value, self.metric)} (trial {self.best.number}){more}"
