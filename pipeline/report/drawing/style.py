"""The look of figures that both renderers share: colors, legend entries, ticks and short labels."""

import html
import math
from collections import Counter
from dataclasses import dataclass

from matplotlib.ticker import EngFormatter

from pipeline.report.drawing.figure import Chart
from pipeline.runtime.text import escape_unprintable

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), without those of its colors that are pale on white, with
# a brown and a gray. Each has a contrast of 3:1 or more to the page, light and dark (WCAG 2.2, 1.4.11).
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#b85c92", "#8f6b00", "#7a7a7a")
MUTED_COLOR = "#808080"
MUTED_OPACITY = 0.6
BAND_OPACITY = 0.2
MAX_LABEL_CHARS = 40
MAX_CELL_LABEL_CHARS = 24
MAX_DENSE_TICK_RATIO = 1_000  # from end to end of a logarithmic axis
MAX_ANNOTATED_COLUMNS = 20  # columns of a heatmap whose numbers still have room


@dataclass(frozen=True)
class SeriesStyle:
    """Color and opacity of a series, its index among the markers or dashes of its kind, and its legend entry or ""."""

    color: str
    opacity: float
    index: int
    legend_name: str


def assign_styles(chart: Chart) -> list[SeriesStyle]:
    """Return the style of each series: one color and legend entry a name, one marker or dash a series of a kind.

    Muted series are gray and take no color, marker or dash from the others.
    """
    color_by_name: dict[str, str] = {}
    legend_names = set[str]()
    kind_counts = Counter[str]()
    styles = []
    for position, series in enumerate(chart.series):
        next_color = PALETTE[len(color_by_name) % len(PALETTE)]
        name = series.name or f"series {position}"
        color = MUTED_COLOR if series.is_muted else color_by_name.setdefault(name, next_color)
        legend_name = "" if series.name in legend_names else shorten_label(series.name)
        opacity = MUTED_OPACITY if series.is_muted else 1
        styles.append(SeriesStyle(color, opacity, kind_counts[series.kind], legend_name))
        legend_names.add(series.name)
        kind_counts[series.kind] += not series.is_muted
    return styles


def compute_log_ticks(chart: Chart) -> dict[float, str]:
    """Return the ticks of a logarithmic axis and their labels: 1, 2, 5, 10 ..., or powers of ten on a long axis.

    A range without a round number has ticks at its ends instead.
    """
    values = [float(x) for series in chart.series for x in series.x]
    low = min(values)
    high = max(values)
    steps = (1, 2, 5) if high / low < MAX_DENSE_TICK_RATIO else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps]
    if not any(low <= tick <= high for tick in ticks):
        ticks = [low, high]
    format_tick = EngFormatter(sep="")  # 200, 5k, 2M
    return {tick: format_tick(tick) for tick in ticks if low / 2 <= tick <= 2 * high}


def shorten_label(name: str, max_chars: int = MAX_LABEL_CHARS) -> str:
    """Return a name of the user's data for an axis or a legend: escaped, at most `max_chars` long."""
    text = escape_unprintable(name)
    return text if len(text) <= max_chars else f"{text[: max_chars - 1]}…"


def escape_html(text: str) -> str:
    """Return a text escaped for HTML, and for plotly, which reads some HTML in its labels."""
    return html.escape(escape_unprintable(text))


def format_cell(value: float) -> str:
    """Return the text of a heatmap's cell: a count as an integer, a share with two digits."""
    return f"{value:,.0f}" if value == int(value) else f"{value:.2f}"
