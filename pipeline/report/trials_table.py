"""The trials of a study as the figures tell of them, and the words that they share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.config.schema import Metric
from pipeline.study.summary import Summary
from pipeline.study.trial_record import Row
from pipeline.tuner.live_display import network, number

METRICS = {"accuracy": "accuracy", "f1_macro": "macro F1", "mean_absolute_error": "mean absolute error"}
FAR = 3.0  # quartile ranges from the worse quartile: what lies beyond would press all others together


@dataclass(frozen=True)
class Tried:
    """A study's trials in order of number, the best of them, and what their score is.

    unit: of the score, such as years, or "" where it has none.
    """

    rows: tuple[Row, ...]
    best: Row
    metric: Metric
    unit: str = ""

    @classmethod
    def of(cls, rows: Iterable[Row], summary: Summary, unit: str) -> Tried:
        """A finished study's trials; unit: of its answers. Numbers may be missing, where its minutes were over."""
        ordered = sorted(rows, key=lambda row: row.number)
        (best,) = (row for row in ordered if row.number == summary["best"]["number"])
        metric = summary["test"]["metric"]
        return cls(tuple(ordered), best, metric, unit if metric == "mean_absolute_error" else "")

    @property
    def maximise(self) -> bool:
        return self.metric != "mean_absolute_error"

    @property
    def complete(self) -> list[Row]:
        """Those whose score is that of all their epochs."""
        return [row for row in self.rows if row.state == "complete" and row.finite]

    @property
    def score(self) -> str:
        """The title of an axis."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{METRICS[self.metric]} in cross-validation{unit}"

    def says(self, value: float) -> str:
        """A score with its unit."""
        return f"{number(value, self.metric)} {self.unit}".strip()

    def sure(self, row: Row) -> str:
        """A trial's score, and its standard error."""
        return f"{number(row.value, self.metric)} ± {self.says(row.standard_error)}"

    def better(self, one: float, other: float) -> float:
        """How much better one score is than another; below 0 where it is worse."""
        return one - other if self.maximise else other - one

    def best_of(self, rows: Sequence[Row]) -> Row:
        """The one with the best score; of equals the one with the fewest parameters."""
        return max(rows, key=lambda row: (self.better(row.value, 0), -row.parameters, -row.number))

    @cached_property
    def worst_drawn(self) -> float:
        """The worst score of a trial that a figure has room for."""
        return self.worst_of([row.value for row in self.rows if row.finite])

    def worst_of(self, scores: Sequence[float]) -> float:
        """The worst that a figure of them has room for: a few absurd ones must not press all the others together."""
        values = np.array(scores)
        low, high = np.quantile(values, [0.25, 0.75])
        room = FAR * (high - low) or np.ptp(values)
        return float(max(low - room, values.min()) if self.maximise else min(high + room, values.max()))

    def drawn(self, value: float) -> float:
        """Where a score stands in a figure: one that is too bad for it, or none, at the edge."""
        kept = max if self.maximise else min
        return kept(value, self.worst_drawn) if np.isfinite(value) else self.worst_drawn

    def label(self, row: Row) -> str:
        """What a point says when it is pointed at."""
        score = f"{self.sure(row)}" if row.finite else "no score"
        why = "" if row.state == "complete" else f", {row.state}: {row.reason}"
        return f"trial {row.number}: {score}, {widths(row)}, {row.parameters:,} parameters{why}"


def widths(row: Row) -> str:
    """A trial's network in words."""
    return with_nodes(network(row.fields))


def with_nodes(hidden: str) -> str:
    """Widths and what they are of, so that no comma is read as one in a number: 128 and 64 nodes."""
    *channels, nodes = hidden.split(" channels, ")
    blocks = [f"{listed(each.split(','))} channels" for each in channels]
    return ", ".join([*blocks, f"{listed(nodes.split(','))} nodes" if nodes[-1].isdigit() else nodes])


def percent(share: float) -> str:
    """A share as a whole number of hundredths."""
    return f"{round(100 * share)} %" if np.isfinite(share) else "-"


def named(row: Row) -> str:
    """A trial in a sentence."""
    return f"trial {row.number} ({widths(row)})"


def many(count: int, thing: str) -> str:
    """A number of things: 1 trial, 2 trials."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def listed(parts: Sequence[str]) -> str:
    """Parts of a sentence: one, two and three."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
