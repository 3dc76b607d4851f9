"""The one table at the end of a search: baseline, winner, gain, held-out test, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.tuner.live_display import format_network, format_score


def print_results(console: Console, summary: Mapping[str, Any], commands: Mapping[str, str]) -> None:
    """Prints the table; `commands` are what a person may want to do next, by a word each."""
    test = summary["test"]
    table = Table(
        title=f"{summary['study']}: {format_trial_counts(summary['trials'])}; {test['metric']}",
        title_justify="left",
        show_edge=False,
    )
    for heading in ("", "hidden layers", "cross-validation*", "held-out test, 95 %"):
        table.add_column(heading, justify="left", overflow="fold")
    for row in format_rows(summary):
        table.add_row(*row)
    console.print(table)
    caveat = f"* optimistic: the best of {summary['trials']['total']} is chosen by it"
    console.print(f"{caveat}; this study opened the test rows {format_times(test['opened'])}.")
    seconds = summary["seconds"]
    timing = f"the trials took {seconds['training']:,.0f} s, the whole {seconds['total']:,.0f} s"
    console.print(f"{summary['parameters']:,} parameters, {test['rows']:,} test rows; {timing}.")
    for label, command in commands.items():
        console.print(f"{label:<8}{command}", soft_wrap=True, markup=False)


def format_rows(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """The lines of the table: what it is, its hidden layers, its cross-validation score, its score on the test rows."""
    best, test, baseline = summary["best"], summary["test"], summary["baseline"]
    metric = test["metric"]
    winner_row = (
        f"winner (trial {best['number']})",
        format_hidden_layers(best),
        format_mean(best, metric),
        format_interval(test, metric),
    )
    constant_row = ("always the same", "", "", format_score(summary["majority"]["value"], metric))
    if baseline is None:
        return [winner_row, constant_row]
    baseline_row = (
        "baseline",
        format_hidden_layers(baseline),
        format_mean(baseline, metric),
        format_interval(baseline["test"], metric),
    )
    validation_gain, test_gain = (format_gain(*pair, metric) for pair in score_pairs(best, test, baseline))
    return [baseline_row, winner_row, ("gain", "", validation_gain, test_gain), constant_row]


def format_trial_counts(trials: Mapping[str, int]) -> str:
    """How many trials, and how many of them ended how."""
    parts = [f"{count} {state}" for state, count in trials.items() if state != "total" and count]
    return f"{trials['total']} trial{'s' * (trials['total'] != 1)} ({', '.join(parts)})"


def format_times(count: int) -> str:
    """How often."""
    return "once" if count == 1 else f"{count} times"


def format_hidden_layers(entry: Mapping[str, Any]) -> str:
    """The network of the baseline or the winner, in words."""
    overrides = dict(word.split("=", 1) for word in entry["overrides"])
    return format_network(
        {key: value.strip("[]") for key, value in overrides.items() if key in ("model.nodes", "model.channels")}
    )


def format_mean(entry: Mapping[str, Any], metric: str) -> str:
    """Its cross-validation score ± the standard error."""
    scores = entry["cross_validation"]
    error = scores["standard_error"]
    return format_score(scores["mean"], metric) + (f" ± {format_score(error, metric)}" if error is not None else "")


def format_interval(test_score: Mapping[str, Any], metric: str) -> str:
    """A score on the held-out test with its interval."""
    return f"{format_score(test_score['value'], metric)} ({format_score(test_score['low'], metric)} to {format_score(test_score['high'], metric)})"


def score_pairs(
    best: Mapping[str, Any], test: Mapping[str, Any], baseline: Mapping[str, Any]
) -> list[tuple[float, float]]:
    """The winner's score and the baseline's, in cross-validation and on the held-out test."""
    return [
        (best["cross_validation"]["mean"], baseline["cross_validation"]["mean"]),
        (test["value"], baseline["test"]["value"]),
    ]


def format_gain(winner: float, baseline: float, metric: str) -> str:
    """How much better the winner is; with an error, lower is better, and a gain is what it fell by."""
    difference = baseline - winner if metric == "mean_absolute_error" else winner - baseline
    return ("+" if difference >= 0 else "-") + format_score(abs(difference), metric)
