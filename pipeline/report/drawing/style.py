"""How figures look, whoever draws them: colours and marks that any eye tells apart on a light and on a dark page."""

from __future__ import annotations

import html
import math

from pipeline.report.drawing.figure import Chart, Series
from pipeline.runtime.text import escape_unprintable

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), without those of its colours that are pale on white, with
# a brown and a grey. Each has a contrast of 3:1 or more to the page, light and dark (WCAG 2.2, 1.4.11).
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#b85c92", "#8f6b00", "#7a7a7a")
MUTED_COLOR = "#808080"
MUTED_OPACITY, BAND_OPACITY = 0.6, 0.2
PLOTLY_MARKERS = ("circle", "diamond", "square", "triangle-up", "x", "cross")  # in plotly's words
PLOTLY_DASHES = ("solid", "dash", "dot", "dashdot")  # likewise
MAX_LABEL_CHARS = 40
MAX_DENSE_TICK_RATIO = 1_000  # from end to end of a logarithmic axis
MAX_ANNOTATED_COLUMNS = 20  # columns of a grid whose numbers still have room


def assign_colors(chart: Chart) -> list[str]:
    """A colour for each series; quiet ones have none of their own, those of one name share one."""
    keys = [series.name or f"series {place}" for place, series in enumerate(chart.series)]
    color_keys = list(dict.fromkeys(key for key, series in zip(keys, chart.series, strict=True) if not series.is_muted))
    return [
        MUTED_COLOR if series.is_muted else PALETTE[color_keys.index(key) % len(PALETTE)]
        for key, series in zip(keys, chart.series, strict=True)
    ]


def assign_legend_names(chart: Chart) -> list[str]:
    """What the legend says of each series: its name, once."""
    names = [series.name for series in chart.series]
    return [shorten_label(name) if name not in names[:place] else "" for place, name in enumerate(names)]


def assign_style_indices(chart: Chart) -> list[int]:
    """Which of the lines, or of the clouds of points, each series is, so that no two have the same dashes or marks."""
    counts: dict[str, int] = {}
    indices = []
    for series in chart.series:
        indices.append(counts.get(series.kind, 0))
        counts[series.kind] = indices[-1] + (not series.is_muted)
    return indices


def has_integer_x(chart: Chart) -> bool:
    """Whether the places along a chart are whole numbers, such as epochs."""
    return all(not isinstance(x, str) and x == int(x) for series in chart.series for x in series.x)


def compute_log_ticks(chart: Chart) -> dict[float, str]:
    """Of a logarithmic axis: the round numbers 1, 2, 5, 10 ... that it reaches over; powers of ten where it is long.

    Where it is so short that none lies on it, its ends: without a number nobody can read it.
    """
    values = [float(x) for series in chart.series for x in series.x]
    low, high = min(values), max(values)
    steps = (1, 2, 5) if high / low < MAX_DENSE_TICK_RATIO else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    round_numbers = [step * 10.0**power for power in powers for step in steps]
    if not any(low <= place <= high for place in round_numbers):
        round_numbers = [low, high]
    return {place: _format_tick(place) for place in round_numbers if low / 2 <= place <= 2 * high}


def _format_tick(value: float) -> str:
    """A round number in few letters: 200, 5k, 2M."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def is_horizontal(chart: Chart) -> bool:
    """Whether a chart is drawn on its side: bars with names have room for them there."""
    return any(series.kind == "bars" and _has_categorical_x(series) for series in chart.series)


def _has_categorical_x(series: Series) -> bool:
    return any(isinstance(place, str) for place in series.x)


def shorten_label(name: str, max_chars: int = MAX_LABEL_CHARS) -> str:
    """A name from outside as an axis or a legend has room for it: escaped, and not longer than fits."""
    text = escape_unprintable(name)
    return text if len(text) <= max_chars else f"{text[: max_chars - 1]}…"


def escape_html(text: str) -> str:
    """A text for HTML, and for plotly, which takes a part of HTML in its labels."""
    return html.escape(escape_unprintable(text))


def format_cell(value: float) -> str:
    """A number of a grid: a count as it is, a share with two digits."""
    return f"{value:,.0f}" if value == int(value) else f"{value:.2f}"
