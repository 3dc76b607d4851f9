"""How figures look, whoever draws them: colours and marks that any eye tells apart on a light and on a dark page."""

from __future__ import annotations

import html

from pipeline.data.names import printable
from pipeline.report.figure import Chart, Series

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), without those of its colours that are pale on white, with
# a brown and a grey. Each has a contrast of 3:1 or more to the page, light and dark (WCAG 2.2, 1.4.11).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b85c92", "#8f6b00", "#7a7a7a")
QUIET = "#808080"
QUIET_OPACITY, BAND_OPACITY = 0.4, 0.18
MARKS = ("circle", "diamond", "square", "triangle-up", "x", "cross")  # in plotly's words
DASHES = ("solid", "dash", "dot", "dashdot")  # likewise
LONGEST_LABEL = 40
FULLEST = 20  # columns of a grid whose numbers still have room


def colours(chart: Chart) -> list[str]:
    """A colour for each series; quiet ones have none of their own."""
    own = iter(range(len(chart.series)))
    return [QUIET if series.quiet else COLOURS[next(own) % len(COLOURS)] for series in chart.series]


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
