"""A figure as a PNG, by matplotlib: for where a page with a script has no place."""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import fontManager
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pipeline.report.drawing.figure import Chart, Figure, Gallery, Grid, Series
from pipeline.report.drawing.style import (
    BAND_OPACITY,
    FULLEST,
    QUIET_OPACITY,
    cell,
    colours,
    entries,
    label,
    lies,
    places,
    ticks,
    whole,
)
from pipeline.runtime.text import printable

DOTS = 150  # an inch
WIDE, TALL = 8.0, 4.4  # inches
MARKS = ("o", "D", "s", "^", "X", "P")
DASHES = ("-", "--", ":", "-.")
FONTS = ("DejaVu Sans", "Noto Sans CJK KR", "NanumGothic", "Noto Sans CJK JP", "Malgun Gothic", "Apple SD Gothic Neo")
PALE = "#d0d0d0"
POINT: dict[str, Any] = {"markersize": 5.0}
RING: dict[str, Any] = {"markersize": 11.0, "markerfacecolor": "none", "markeredgewidth": 1.8, "zorder": 3}
Numbers = NDArray[np.float64]


def png(figure: Figure) -> bytes:
    """The figure with its title above and its words below, on white; 1,200 pixels wide."""
    drawn = figure.drawn
    title, words = textwrap.wrap(printable(figure.title), 78), textwrap.wrap(printable(figure.words), 126)
    above, below, tall = 0.12 + 0.23 * len(title), 0.18 * len(words) + 0.15, _tall(drawn)
    whole = tall + below + above
    room = ConstrainedLayoutEngine(rect=(0.01, below / whole, 0.98, tall / whole))
    canvas = Canvas(figsize=(WIDE, whole), dpi=DOTS, layout=room)
    FigureCanvasAgg(canvas)
    canvas.text(0.012, 1 - 0.1 / whole, "\n".join(title), fontsize=12, weight="bold", va="top")
    canvas.text(0.012, (below - 0.05) / whole, "\n".join(words), fontsize=8.5, va="top", linespacing=1.4)
    match drawn:
        case Chart():
            if drawn.series:
                _chart(canvas.add_subplot(), drawn)
        case Grid():
            _grid(canvas.add_subplot(), drawn)
        case Gallery():
            _gallery(canvas, drawn)
    _write_plainly(canvas)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of a script that no font here has
        canvas.savefig(stream, format="png")
    return stream.getvalue()


def _tall(drawn: Chart | Grid | Gallery) -> float:
    """How tall what is drawn is, in inches."""
    if isinstance(drawn, Gallery):
        return math.ceil(len(drawn.pictures) / drawn.wide) * (WIDE / drawn.wide + 0.1)
    if isinstance(drawn, Grid):
        return max(3.0, min(0.4 * len(drawn.rows), WIDE) + 1.2)
    if not drawn.series:
        return 0.1
    return 0.9 + 0.32 * max(len(series.x) for series in drawn.series) if lies(drawn) else TALL


def _write_plainly(canvas: Canvas) -> None:
    """Every text by the first font that has its letters, and no dollar sign as the begin of a formula."""
    here = {font.name for font in fontManager.ttflist}
    fonts = [name for name in FONTS if name in here]
    for text in canvas.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
        text.set_fontfamily(fonts)


def _chart(axes: Axes, chart: Chart) -> None:
    on_side, names = lies(chart), _names(chart)
    for series, colour, place, entry in zip(chart.series, colours(chart), places(chart), entries(chart), strict=True):
        x = np.array([names[each] if isinstance(each, str) else each for each in series.x], dtype=float)
        _series(axes, series, x, entry, colour, place, on_side)
    across, up = (chart.y, chart.x) if on_side else (chart.x, chart.y)
    axes.set_xlabel(printable(across))
    axes.set_ylabel("" if on_side else printable(up))
    if chart.log_x:
        _logarithmic(axes, ticks(chart))
    elif names:
        (axes.set_yticks if on_side else axes.set_xticks)(range(len(names)), [label(name) for name in names])
    elif whole(chart):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if on_side:
        axes.invert_yaxis()
    numbered = [axes.xaxis] if on_side else [axes.yaxis, *([] if names or chart.log_x else [axes.xaxis])]
    for axis in numbered:
        axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.grid(color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if sum(map(bool, entries(chart))) > 1:
        columns = 4 if len("".join(entries(chart))) < 60 else 2
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize=9, borderaxespad=0.2
        )


def _names(chart: Chart) -> dict[str, int]:
    """Where along the axis each name stands, in the order in which they come."""
    names = [x for series in chart.series for x in series.x if isinstance(x, str)]
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def _logarithmic(axes: Axes, at: Mapping[float, str]) -> None:
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xticks(list(at), list(at.values()))
    axes.set_xticks([], minor=True)
    axes.set_xlim(low, high)


def _series(axes: Axes, series: Series, x: Numbers, entry: str, colour: str, place: int, on_side: bool) -> None:
    y = np.array(series.y, dtype=float)
    error = np.abs(np.array([series.low, series.high]) - y) if series.low else None
    common: dict[str, Any] = {
        "color": colour,
        "alpha": QUIET_OPACITY if series.quiet else 1.0,
        "label": entry,
    }
    ends: dict[str, Any] = {} if error is None else {"xerr" if on_side else "yerr": error}
    if series.kind == "bars":
        apart = 1.0 if len(x) < 2 else float(np.diff(np.unique(x)).min(initial=np.inf))
        (axes.barh if on_side else axes.bar)(x, y, 0.8 * (apart if np.isfinite(apart) else 1.0), **common, **ends)
        return
    across, up = (y, x) if on_side else (x, y)
    if series.kind == "line":
        dash, thick = ("-", 0.7) if series.quiet else (DASHES[place % len(DASHES)], 1.8)
        axes.plot(across, up, dash, linewidth=thick, **common)
        if error is not None:
            axes.fill_between(x, series.low, series.high, color=colour, alpha=BAND_OPACITY, linewidth=0)
    else:
        look = RING if series.ring else POINT
        axes.errorbar(across, up, fmt=MARKS[place % len(MARKS)], elinewidth=0.8, **common, **ends, **look)


def _grid(axes: Axes, grid: Grid) -> None:
    shown = axes.imshow(grid.values, cmap="cividis", aspect="auto")
    axes.set_xticks(range(len(grid.columns)), [label(name, 24) for name in grid.columns], rotation=45, ha="right")
    axes.set_yticks(range(len(grid.rows)), [label(name, 24) for name in grid.rows])
    axes.set_xlabel(printable(grid.x))
    axes.set_ylabel(printable(grid.y))
    if len(grid.columns) > FULLEST:
        assert axes.figure is not None
        axes.figure.colorbar(shown, ax=axes)
        return
    middle = (grid.values.max() + grid.values.min()) / 2
    for (row, column), value in np.ndenumerate(grid.values):
        colour = "white" if value <= middle else "black"
        axes.text(column, row, cell(value), ha="center", va="center", color=colour, fontsize=8)


def _gallery(canvas: Canvas, gallery: Gallery) -> None:
    down = math.ceil(len(gallery.pictures) / gallery.wide)
    letters = int(92 / gallery.wide)
    for place, (picture, caption) in enumerate(zip(gallery.pictures, gallery.captions, strict=True)):
        axes = canvas.add_subplot(down, gallery.wide, place + 1)
        axes.imshow(picture, interpolation="nearest" if picture.shape[0] <= 96 else "antialiased")
        axes.set_axis_off()
        lines = textwrap.wrap(printable(caption), letters)[:4]
        axes.set_title("\n".join(lines), fontsize=7.5, y=-0.03, va="top", pad=0)
