"""Results table at the end of a search: baseline, winner, gain, test score, and the next commands."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from pipeline.study.formatting import format_rows, format_size, format_times, format_trial_counts
from pipeline.study.summary import StudySummary


def print_results(console: Console, summary: StudySummary, commands: Mapping[str, str]) -> None:
    """Print the table and, under it, the next `commands` with their labels."""
    test = summary.test
    title = f"{summary.study}: {format_trial_counts(summary.trials)}; {test.metric}"
    table = Table(title=title, title_justify="left", show_edge=False)
    for heading in ("", "hidden layers", "cross-validation*", "held-out test, 95 %"):
        table.add_column(heading, justify="left", overflow="fold")
    for row in format_rows(summary):
        table.add_row(*row)
    console.print(table)
    caveat = f"* optimistic: the best of {summary.trials.total} trials is selected by it"
    console.print(f"{caveat}; test set evaluated {format_times(test.evaluations)}.")
    seconds = summary.seconds
    timing = f"{seconds.training:,.0f} s for the trials, {seconds.total:,.0f} s in total"
    console.print(f"{format_size(summary)}; {test.rows:,} test rows; {timing}.")
    for label, command in commands.items():
        console.print(f"{label:<8}{command}", soft_wrap=True, markup=False)
