"""Live display of a search: on a terminal a bar for the search and one an executor; elsewhere a line a trial."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from pipeline.runtime.progress_bars import BAR_WIDTH, TimeRemaining, format_time_left
from pipeline.study.formatting import format_network, format_score
from pipeline.study.study import TrialProposal
from pipeline.study.trial_record import TrialRecord


class LiveDisplay:
    """Progress bars of a search, shown while `progress` is entered, and a line for each finished trial.

    n_finished, best: the trials of earlier calls.
    """

    def __init__(
        self, console: Console, metric: str, n_trials: int, n_finished: int, best: TrialRecord | None, n_executors: int
    ) -> None:
        self.console = console
        self.metric = metric
        self.n_trials = n_trials
        self.n_finished = n_finished
        self.best = best
        self.start_time = time.monotonic()
        self.n_finished_this_run = 0
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
        note = self._format_note()
        self.search_bar = self.progress.add_task("search", total=n_trials, completed=n_finished, note=note, timed=False)
        self.executor_bars = [self.progress.add_task("trial", total=1, note="") for _ in range(n_executors)]

    def start_trials(self, executor_index: int, proposals: Sequence[TrialProposal]) -> None:
        """Show the trials that an executor starts side by side."""
        first = proposals[0]
        name = f"trial {first.number}" if len(proposals) == 1 else f"trials {first.number} to {proposals[-1].number}"
        network = format_network(first.candidate.hyperparameters)
        epochs = max(proposal.candidate.training.total_epochs for proposal in proposals)
        self.progress.reset(self.executor_bars[executor_index], total=epochs, description=name, note=network)

    def update_epoch(self, executor_index: int, epoch: int) -> None:
        """Show that an executor's trials have finished an epoch."""
        self.progress.update(self.executor_bars[executor_index], completed=epoch)

    def finish_trial(self, trial: TrialRecord, best: TrialRecord | None) -> None:
        """Print the line of a finished trial; best: the best trial so far, this one included."""
        self.n_finished += 1
        self.n_finished_this_run += 1
        self.best = best
        self.progress.update(self.search_bar, completed=self.n_finished, note=self._format_note())
        score = f"{self.metric} {format_score(trial.value, self.metric)}" if trial.is_finite else trial.reason
        network = format_network(trial.hyperparameters)
        suffix = "  best so far" if best is not None and best.number == trial.number else ""
        time_spent = f"epoch {trial.epoch:>3}  {trial.seconds:5.1f} s"
        line = f"trial {trial.number:>3} {trial.state:<8} {score}  {time_spent}  {network}{suffix}"
        self.console.print(line, highlight=False, soft_wrap=True)

    def _format_note(self) -> str:
        """Return the best score, and the time left at the mean pace of this call."""
        if self.best is None:
            return ""
        seconds = 0.0
        if self.n_finished_this_run:
            pace = (time.monotonic() - self.start_time) / self.n_finished_this_run
            seconds = pace * (self.n_trials - self.n_finished)
        time_left = f", {format_time_left(seconds)}" if seconds > 0 else ""
        return f"best {format_score(self.best.value, self.metric)} (trial {self.best.number}){time_left}"
