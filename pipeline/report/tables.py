"""The trials as a page lists them: what was tried, how it went, and why each ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.report.trials_table import Tried
from pipeline.runtime.text import shown
from pipeline.study.space import WIDTHS, typed
from pipeline.study.trial_record import Row
from pipeline.tuner.live_display import network, number

MOST_TRIALS, MOST_REASONS = 100, 20


def headings(tried: Tried) -> list[str]:
    """Of the columns: the last ones are the hyperparameters that differ among the trials."""
    score = f"score ({tried.unit})" if tried.unit else "score"
    plain = [key.partition(".")[2].replace("_", " ") for key in _varied(tried)]
    return ["trial", "state", f"{score} ± standard error", "hidden layers", "parameters", "epoch", "seconds", *plain]


def _varied(tried: Tried) -> list[str]:
    return [
        key for key in tried.rows[0].fields if key not in WIDTHS and len({row.fields[key] for row in tried.rows}) > 1
    ]


def lines(tried: Tried) -> list[list[str]]:
    """A line a trial, the best first; then those that were stopped, then those without a score."""
    keys = _varied(tried)
    return [_line(tried, row, keys) for row in _ranked(tried)[:MOST_TRIALS]]


def _ranked(tried: Tried) -> Sequence[Row]:
    def place(row: Row) -> tuple[bool, bool, float, int, int]:
        score = -tried.better(row.value, 0) if row.finite else 0
        return row.state != "complete", not row.finite, score, row.parameters, row.number

    return sorted(tried.rows, key=place)


def _line(tried: Tried, row: Row, keys: Sequence[str]) -> list[str]:
    metric = tried.metric
    score = f"{number(row.value, metric)} ± {number(row.standard_error, metric)}" if row.finite else "none"
    drawn = ["" if row.fields[key] == "" else typed(row.fields[key]) for key in keys]
    facts = [f"{row.parameters:,}", str(row.epoch or ""), f"{row.seconds:.1f}"]
    return [str(row.number), row.state, score, network(row.fields), *facts, *drawn]


def endings(tried: Tried) -> list[tuple[str, int, str]]:
    """For each state and reason how many trials ended so, the most frequent first."""
    counts = Counter[tuple[str, str]](
        (row.state, row.reason.partition("a repeat of trial")[2].partition(": ")[2] or row.reason) for row in tried.rows
    )
    found = [(state, count, shown(reason)) for (state, reason), count in counts.most_common(MOST_REASONS)]
    rest = len(tried.rows) - sum(count for _, count, _ in found)
    return [*found, ("other", rest, "more reasons are in MLflow")] if rest else found
