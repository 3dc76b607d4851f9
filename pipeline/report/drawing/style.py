"""How figures look, whoever draws them: colours and marks that any eye tells apart on a light and on a dark page."""

from __future__ import annotations

import html
import math

from pipeline.report.drawing.figure import Chart, Series
from pipeline.runtime.text import printable

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), without those of its colours that are pale on white, with
# a brown and a grey. Each has a contrast of 3:1 or more to the page, light and dark (WCAG 2.2, 1.4.11).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b85c92", "#8f6b00", "#7a7a7a")
QUIET = "#808080"
QUIET_OPACITY, BAND_OPACITY = 0.6, 0.2
MARKS = ("circle", "diamond", "square", "triangle-up", "x", "cross")  # in plotly's words
DASHES = ("solid", "dash", "dot", "dashdot")  # likewise
LONGEST_LABEL = 40
SHORT = 1_000  # from end to end of a logarithmic axis
FULLEST = 20  # columns of a grid whose numbers still have room


def colours(chart: Chart) -> list[str]:
    """A colour for each series; quiet ones have none of their own, those of one name share one."""
    keys = [series.name or f"series {place}" for place, series in enumerate(chart.series)]
    own = list(dict.fromkeys(key for key, series in zip(keys, chart.series, strict=True) if not series.quiet))
    return [
        QUIET if series.quiet else COLOURS[own.index(key) % len(COLOURS)]
        for key, series in zip(keys, chart.series, strict=True)
    ]


def entries(chart: Chart) -> list[str]:
    """What the legend says of each series: its name, once."""
    names = [series.name for series in chart.series]
    return [label(name) if name not in names[:place] else "" for place, name in enumerate(names)]


def places(chart: Chart) -> list[int]:
    """Which of the lines, or of the clouds of points, each series is, so that no two have the same dashes or marks."""
    counts: dict[str, int] = {}
    found = []
    for series in chart.series:
        found.append(counts.get(series.kind, 0))
        counts[series.kind] = found[-1] + (not series.quiet)
    return found


def whole(chart: Chart) -> bool:
    """Whether the places along a chart are whole numbers, such as epochs."""
    return all(not isinstance(x, str) and x == int(x) for series in chart.series for x in series.x)


def ticks(chart: Chart) -> dict[float, str]:
    """Of a logarithmic axis: the round numbers 1, 2, 5, 10 ... that it reaches over; powers of ten where it is long.

    Where it is so short that none lies on it, its ends: without a number nobody can read it.
    """
    reached = [float(x) for series in chart.series for x in series.x]
    low, high = min(reached), max(reached)
    steps = (1, 2, 5) if high / low < SHORT else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    round_numbers = [step * 10.0**power for power in powers for step in steps]
    if not any(low <= place <= high for place in round_numbers):
        round_numbers = [low, high]
    return {place: _brief(place) for place in round_numbers if low / 2 <= place <= 2 * high}


def _brief(value: float) -> str:
    """A round number in few letters: 200, 5k, 2M."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def lies(chart: Chart) -> bool:
    """Whether a chart is drawn on its side: bars with names have room for them there."""
    return any(series.kind == "bars" and _named(series) for series in chart.series)


def _named(series: Series) -> bool:
    return any(isinstance(place, str) for place in series.x)


def label(name: str, longest: int = LONGEST_LABEL) -> str:
    """A name from outside as an axis or a legend has room for it: escaped, and not longer than fits."""
    plain = printable(name)
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}…"


def escaped(text: str) -> str:
    """A text for HTML, and for plotly, which takes a part of HTML in its labels."""
    return html.escape(printable(text))


def cell(value: float) -> str:
    """A number of a grid: a count as it is, a share with two digits."""
    return f"{value:,.0f}" if value == int(value) else f"{value:.2f}"
