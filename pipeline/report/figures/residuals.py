"""How far the winner's numbers are from the truth: one against the other, and the spread of the error."""

from __future__ import annotations

import numpy as np

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.heldout_predictions import Amounts, Evidence
from pipeline.report.trials_table import many
from pipeline.tuner.live_display import number

MOST_POINTS, BARS = 2_000, 30
METRIC = "mean_absolute_error"


def figures(evidence: Evidence, amounts: Amounts) -> list[Figure]:
    """Said against true, and how often which error is made."""
    return [_against(evidence, amounts), _spread(amounts)]


def _titled(words: str, unit: str) -> str:
    return f"{words} ({unit})" if unit else words


def _against(evidence: Evidence, amounts: Amounts) -> Figure:
    every = -(-len(amounts.said) // MOST_POINTS)  # a page of more points is slow, and shows no more
    shown = range(0, len(amounts.said), every)
    low, high = (float(value) for value in (amounts.truth.min(), amounts.truth.max()))
    points = Series(
        "test rows",
        "points",
        [float(amounts.truth[row]) for row in shown],
        [float(amounts.said[row]) for row in shown],
        labels=[evidence.named(row) for row in shown],
    )
    chart = Chart(
        _titled("true", amounts.unit),
        _titled("said", amounts.unit),
        (Series("said = true", "line", [low, high], [low, high], quiet=True), points),
    )
    words = f"The answers are {_said(amounts, float(np.abs(amounts.error).mean()))} from the truth on average."
    if every > 1:
        words += f" One in {every} of {len(amounts.said):,} rows is shown."
    return Figure("residuals", "Said against true", " ".join([words, *_ends(amounts)]), chart)


def _ends(amounts: Amounts) -> list[str]:
    """Whether small numbers are said too large and large ones too small, as far as there are rows enough to see."""
    if len(amounts.truth) < 10:
        return []
    tenths = np.quantile(amounts.truth, [0.1, 0.9])
    parts = []
    for name, rows in (("smallest", amounts.truth <= tenths[0]), ("largest", amounts.truth >= tenths[1])):
        mean = float(amounts.error[rows].mean())
        parts.append(f"the {name} tenth is said {_said(amounts, abs(mean))} too {'large' if mean > 0 else 'small'}")
    first, second = parts
    return [f"{first[0].upper()}{first[1:]} on average, {second}."]


def _spread(amounts: Amounts) -> Figure:
    """The middle 98 % of the errors in bars of equal width; what lies beyond is in the first and the last."""
    low, high = (float(end) for end in np.quantile(amounts.error, [0.01, 0.99]))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BARS + 1)
    counts, _ = np.histogram(np.clip(amounts.error, low, high), edges)
    middles = ((edges[:-1] + edges[1:]) / 2).tolist()
    bars = Series("test rows", "bars", middles, counts.astype(float).tolist())
    beyond = int(((amounts.error < low) | (amounts.error > high)).sum())
    chart = Chart(_titled("error, said minus true", amounts.unit), "test rows", (bars,))
    half, most = (float(share) for share in np.quantile(np.abs(amounts.error), [0.5, 0.9]))
    words = (
        f"Half of the answers are within {_said(amounts, half)} of the truth, nine in ten within "
        f"{_said(amounts, most)}; the middle one is {_said(amounts, abs(float(np.median(amounts.error))))} too "
        f"{'large' if np.median(amounts.error) > 0 else 'small'}."
    )
    words += f" The first and the last bar also hold the {many(beyond, 'row')} with larger errors." if beyond else ""
    return Figure("error_spread", "The spread of the error", words, chart)


def _said(amounts: Amounts, value: float) -> str:
    return f"{number(value, METRIC)} {amounts.unit}".strip()
