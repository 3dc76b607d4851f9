"""Compare methods over the results: scores relative to the trees', ranks and CPU seconds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.quality.scores import HIGHER_IS_BETTER, MAIN_METRIC, SECOND_METRIC
from bench.quality.tables import TABLES, Half, PublicTable, choose_half

REFERENCE = "trees"


@dataclass(frozen=True)
class Comparison:
    """Results by (table, seed, label), the last of each; `labels` are the methods in the order of the report."""

    records: Mapping[tuple[str, int, str], Mapping[str, Any]]
    labels: tuple[str, ...]

    @classmethod
    def from_lines(cls, lines: Iterable[Mapping[str, Any]], labels: Sequence[str]) -> Comparison:
        """Build a comparison from the lines of a results file; labels without a result are left out."""
        records = {(line["table"], line["seed"], line["label"]): line for line in lines}
        found = {label for _, _, label in records}
        return cls(records, tuple(label for label in labels if label in found))

    @property
    def tables(self) -> list[PublicTable]:
        """The tables that have results, those of the first half and of classes first, then by name."""
        names = {name for name, _, label in self.records if label in self.labels}
        return sorted(
            (TABLES[name] for name in names), key=lambda table: (choose_half(table), table.target_kind, table.name)
        )

    def scores(self, table: PublicTable, label: str, metric: str) -> dict[int, float]:
        """Return the score of each seed."""
        return {
            seed: float(record["scores"][metric])
            for (name, seed, found), record in sorted(self.records.items())
            if (name, found) == (table.name, label)
        }

    def gains(self, table: PublicTable, label: str) -> list[float]:
        """Return for each seed how much better a method is than the trees, on the same rows.

        Points of accuracy (0.01 each) for classes; for numbers, percent of the trees' mean absolute error.
        """
        metric = MAIN_METRIC[table.target_kind]
        own = self.scores(table, label, metric)
        trees = self.scores(table, REFERENCE, metric)
        seeds = [seed for seed in own if seed in trees]
        if table.target_kind == "classes":
            return [100 * (own[seed] - trees[seed]) for seed in seeds]
        return [100 * (1 - own[seed] / trees[seed]) for seed in seeds]

    def mean_ranks(self, half: Half, metrics: Mapping[str, str] = MAIN_METRIC) -> tuple[dict[str, float], int]:
        """Return the mean rank of each label, 1 is best, and the number of (table, seed) that all labels have."""
        ranks = [
            self._rank(table, seed, metrics[table.target_kind])
            for table in self.tables
            if choose_half(table) == half
            for seed in self._common_seeds(table)
        ]
        if not ranks:
            return {}, 0
        return dict(zip(self.labels, np.mean(ranks, axis=0).tolist(), strict=True)), len(ranks)

    def _common_seeds(self, table: PublicTable) -> list[int]:
        seeds = [
            {seed for name, seed, found in self.records if (name, found) == (table.name, label)}
            for label in self.labels
        ]
        return sorted(set.intersection(*seeds))

    def _rank(self, table: PublicTable, seed: int, metric: str) -> NDArray[np.float64]:
        scores = np.array([self.records[table.name, seed, label]["scores"][metric] for label in self.labels])
        ranks: NDArray[np.float64] = rankdata(-scores if metric in HIGHER_IS_BETTER else scores)
        return ranks

    def cpu_seconds(self, table: PublicTable, label: str) -> float | None:
        """Return the mean over the seeds, None without a result."""
        seconds = [
            record["cpu_seconds"]
            for (name, _, found), record in self.records.items()
            if (name, found) == (table.name, label)
        ]
        return statistics.mean(seconds) if seconds else None


RANKINGS = {"mean rank": MAIN_METRIC, "mean rank by log loss and squared error": SECOND_METRIC}
