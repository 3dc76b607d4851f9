"""What a person sees while a search runs: one bar for the search and one for each hand, or a line a trial."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from pipeline.runtime.progress_bars import BAR_WIDTH, TimeRemaining, format_time_left
from pipeline.study.formatting import format_network, format_score

if TYPE_CHECKING:
    from pipeline.study.study import TrialProposal
    from pipeline.study.trial_record import TrialRecord


class LiveDisplay:
    """Bars on a terminal; elsewhere a plain line for each finished trial."""

    def __init__(
        self,
        console: Console,
        metric: str,
        n_trials: int,
        n_finished: int,
        best: TrialRecord | None,
        n_executors: int = 1,
    ) -> None:
        self.console, self.metric, self.n_trials, self.n_finished = console, metric, n_trials, n_finished
        self.best, self.start_time, self.n_finished_this_run = best, time.monotonic(), 0
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(BAR_WIDTH),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[note]}"),
            TimeRemaining(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.search_bar = self.progress.add_task(
            "search", total=n_trials, completed=n_finished, note=self._format_note(), timed=False
        )
        self.executor_bars = [self.progress.add_task("trial", total=1, note="") for _ in range(n_executors)]

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def start_trials(self, executor_index: int, proposals: Sequence[TrialProposal]) -> None:
        """A hand begins with some trials, side by side."""
        first, last = proposals[0].number, proposals[-1].number
        description = f"trial {first}" if len(proposals) == 1 else f"trials {first} to {last}"
        network_text = format_network(proposals[0].candidate.hyperparameters)
        epochs = max(proposal.candidate.training.total_epochs for proposal in proposals)
        self.progress.reset(
            self.executor_bars[executor_index], total=epochs, description=description, note=network_text
        )

    def update_epoch(self, executor_index: int, epoch: int) -> None:
        """An epoch of what a hand trains is over."""
        self.progress.update(self.executor_bars[executor_index], completed=epoch)

    def finish_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
        """A trial is over."""
        self.n_finished, self.n_finished_this_run, self.best = self.n_finished + 1, self.n_finished_this_run + 1, best
        self.progress.update(self.search_bar, completed=self.n_finished, note=self._format_note())
        suffix = "  best so far" if best is not None and best.number == trial.number else ""
        score_text = f"{self.metric} {format_score(trial.value, self.metric)}" if trial.is_finite else trial.reason
        network_text = format_network(trial.hyperparameters)
        self.console.print(
            f"trial {trial.number:>3} {trial.state:<8} {score_text}  epoch {trial.epoch:>3}  {trial.seconds:5.1f} s  {network_text}{suffix}",
            highlight=False,
            soft_wrap=True,
        )

    def _format_note(self) -> str:
        if self.best is None:
            return ""
        seconds = (
            (time.monotonic() - self.start_time) / self.n_finished_this_run * (self.n_trials - self.n_finished)
            if self.n_finished_this_run
            else 0.0
        )
        remaining_text = f", {format_time_left(seconds)}" if seconds > 0 else ""
        return f"best {format_score(self.best.value, self.metric)} (trial {self.best.number}){remaining_text}"
