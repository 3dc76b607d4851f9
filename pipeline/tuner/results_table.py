"""The one table at the end of a search: baseline, winner, gain, held-out test, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.tuner.live_display import network, number


def show(console: Console, summary: Mapping[str, Any], commands: Mapping[str, str]) -> None:
    """Prints the table; `commands` are what a person may want to do next, by a word each."""
    test = summary["test"]
    table = Table(
        title=f"{summary['study']}: {counted(summary['trials'])}; {test['metric']}",
        title_justify="left",
        show_edge=False,
    )
    for heading in ("", "hidden layers", "cross-validation*", "held-out test, 95 %"):
        table.add_column(heading, justify="left", overflow="fold")
    for row in rows(summary):
        table.add_row(*row)
    console.print(table)
    chosen = f"* optimistic: the best of {summary['trials']['total']} is chosen by it"
    console.print(f"{chosen}; this study opened the test rows {times(test['opened'])}.")
    seconds = summary["seconds"]
    took = f"the trials took {seconds['training']:,.0f} s, the whole {seconds['total']:,.0f} s"
    console.print(f"{summary['parameters']:,} parameters, {test['rows']:,} test rows; {took}.")
    for label, command in commands.items():
        console.print(f"{label:<8}{command}", soft_wrap=True, markup=False)


def rows(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """The lines of the table: what it is, its hidden layers, its cross-validation score, its score on the test rows."""
    best, test, baseline = summary["best"], summary["test"], summary["baseline"]
    metric = test["metric"]
    winner = (f"winner (trial {best['number']})", hidden(best), mean(best, metric), interval(test, metric))
    constant = ("always the same", "", "", number(summary["majority"]["value"], metric))
    if baseline is None:
        return [winner, constant]
    first = ("baseline", hidden(baseline), mean(baseline, metric), interval(baseline["test"], metric))
    validated, tested = (gain(*pair, metric) for pair in pairs(best, test, baseline))
    return [first, winner, ("gain", "", validated, tested), constant]


def counted(trials: Mapping[str, int]) -> str:
    """How many trials, and how many of them ended how."""
    parts = [f"{count} {state}" for state, count in trials.items() if state != "total" and count]
    return f"{trials['total']} trial{'s' * (trials['total'] != 1)} ({', '.join(parts)})"


def times(count: int) -> str:
    """How often."""
    return "once" if count == 1 else f"{count} times"


def hidden(part: Mapping[str, Any]) -> str:
    """The network of the baseline or the winner, in words."""
    words = dict(word.split("=", 1) for word in part["overrides"])
    return network({key: value.strip("[]") for key, value in words.items() if key in ("model.nodes", "model.channels")})


def mean(part: Mapping[str, Any], metric: str) -> str:
    """Its cross-validation score ± the standard error."""
    scores = part["cross_validation"]
    error = scores["standard_error"]
    return number(scores["mean"], metric) + (f" ± {number(error, metric)}" if error is not None else "")


def interval(tested: Mapping[str, Any], metric: str) -> str:
    """A score on the held-out test with its interval."""
    return f"{number(tested['value'], metric)} ({number(tested['low'], metric)} to {number(tested['high'], metric)})"


def pairs(best: Mapping[str, Any], test: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[tuple[float, float]]:
    """The winner's score and the baseline's, in cross-validation and on the held-out test."""
    return [
        (best["cross_validation"]["mean"], baseline["cross_validation"]["mean"]),
        (test["value"], baseline["test"]["value"]),
    ]


def gain(winner: float, baseline: float, metric: str) -> str:
    """How much better the winner is; with an error, lower is better, and a gain is what it fell by."""
    difference = baseline - winner if metric == "mean_absolute_error" else winner - baseline
    return ("+" if difference >= 0 else "-") + number(abs(difference), metric)
