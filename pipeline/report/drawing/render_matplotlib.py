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

from pipeline.report.drawing.figure import Chart, Figure, Heatmap, ImageGrid, Series
from pipeline.report.drawing.style import (
    BAND_OPACITY,
    MAX_ANNOTATED_COLUMNS,
    MUTED_OPACITY,
    assign_colors,
    assign_legend_names,
    assign_style_indices,
    compute_log_ticks,
    format_cell,
    has_integer_x,
    is_horizontal,
    shorten_label,
)
from pipeline.runtime.text import escape_unprintable

DPI = 150  # an inch
FIGURE_WIDTH, CHART_HEIGHT = 8.0, 4.4  # inches
MATPLOTLIB_MARKERS = ("o", "D", "s", "^", "X", "P")
MATPLOTLIB_DASHES = ("-", "--", ":", "-.")
FONT_FAMILIES = (
    "DejaVu Sans",
    "Noto Sans CJK KR",
    "NanumGothic",
    "Noto Sans CJK JP",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
)
GRID_COLOR = "#d0d0d0"
POINT_STYLE: dict[str, Any] = {"markersize": 5.0}
HIGHLIGHT_STYLE: dict[str, Any] = {"markersize": 11.0, "markerfacecolor": "none", "markeredgewidth": 1.8, "zorder": 3}
Coordinates = NDArray[np.float64]


def render_png(figure: Figure) -> bytes:
    """The figure with its title above and its words below, on white; 1,200 pixels wide."""
    content = figure.content
    title_lines, caption_lines = (
        textwrap.wrap(escape_unprintable(figure.title), 78),
        textwrap.wrap(escape_unprintable(figure.caption), 126),
    )
    title_height, caption_height, content_height = (
        0.12 + 0.23 * len(title_lines),
        0.18 * len(caption_lines) + 0.15,
        _compute_content_height(content),
    )
    total_height = content_height + caption_height + title_height
    layout = ConstrainedLayoutEngine(rect=(0.01, caption_height / total_height, 0.98, content_height / total_height))
    canvas = Canvas(figsize=(FIGURE_WIDTH, total_height), dpi=DPI, layout=layout)
    FigureCanvasAgg(canvas)
    canvas.text(0.012, 1 - 0.1 / total_height, "\n".join(title_lines), fontsize=12, weight="bold", va="top")
    canvas.text(
        0.012, (caption_height - 0.05) / total_height, "\n".join(caption_lines), fontsize=8.5, va="top", linespacing=1.4
    )
    match content:
        case Chart():
            if content.series:
                _draw_chart(canvas.add_subplot(), content)
        case Heatmap():
            _draw_heatmap(canvas.add_subplot(), content)
        case ImageGrid():
            _draw_image_grid(canvas, content)
    _set_fonts(canvas)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of a script that no font here has
        canvas.savefig(stream, format="png")
    return stream.getvalue()


def _compute_content_height(content: Chart | Heatmap | ImageGrid) -> float:
    """How tall what is drawn is, in inches."""
    if isinstance(content, ImageGrid):
        return math.ceil(len(content.images) / content.columns) * (FIGURE_WIDTH / content.columns + 0.1)
    if isinstance(content, Heatmap):
        return max(3.0, min(0.4 * len(content.row_names), FIGURE_WIDTH) + 1.2)
    if not content.series:
        return 0.1
    return 0.9 + 0.32 * max(len(series.x) for series in content.series) if is_horizontal(content) else CHART_HEIGHT


def _set_fonts(canvas: Canvas) -> None:
    """Every text by the first font that has its letters, and no dollar sign as the begin of a formula."""
    installed = {font.name for font in fontManager.ttflist}
    fonts = [name for name in FONT_FAMILIES if name in installed]
    for text in canvas.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
        text.set_fontfamily(fonts)


def _draw_chart(axes: Axes, chart: Chart) -> None:
    horizontal, positions = is_horizontal(chart), _position_categories(chart)
    for series, color, style_index, legend_name in zip(
        chart.series, assign_colors(chart), assign_style_indices(chart), assign_legend_names(chart), strict=True
    ):
        x = np.array([positions[each] if isinstance(each, str) else each for each in series.x], dtype=float)
        _draw_series(axes, series, x, legend_name, color, style_index, horizontal)
    x_title, y_title = (chart.y_title, chart.x_title) if horizontal else (chart.x_title, chart.y_title)
    axes.set_xlabel(escape_unprintable(x_title))
    axes.set_ylabel("" if horizontal else escape_unprintable(y_title))
    if chart.log_x:
        _set_log_axis(axes, compute_log_ticks(chart))
    elif positions:
        (axes.set_yticks if horizontal else axes.set_xticks)(
            range(len(positions)), [shorten_label(name) for name in positions]
        )
    elif has_integer_x(chart):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if horizontal:
        axes.invert_yaxis()
    numeric_axes = [axes.xaxis] if horizontal else [axes.yaxis, *([] if positions or chart.log_x else [axes.xaxis])]
    for axis in numeric_axes:
        axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.grid(color=GRID_COLOR, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if sum(map(bool, assign_legend_names(chart))) > 1:
        columns = 4 if len("".join(assign_legend_names(chart))) < 60 else 2
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize=9, borderaxespad=0.2
        )


def _position_categories(chart: Chart) -> dict[str, int]:
    """Where along the axis each name stands, in the order in which they come."""
    names = [x for series in chart.series for x in series.x if isinstance(x, str)]
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def _set_log_axis(axes: Axes, tick_labels: Mapping[float, str]) -> None:
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xticks(list(tick_labels), list(tick_labels.values()))
    axes.set_xticks([], minor=True)
    axes.set_xlim(low, high)


def _draw_series(
    axes: Axes, series: Series, x: Coordinates, legend_name: str, color: str, style_index: int, horizontal: bool
) -> None:
    y = np.array(series.y, dtype=float)
    error = np.abs(np.array([series.low, series.high]) - y) if series.low else None
    common: dict[str, Any] = {
        "color": color,
        "alpha": MUTED_OPACITY if series.is_muted else 1.0,
        "label": legend_name,
    }
    error_options: dict[str, Any] = {} if error is None else {"xerr" if horizontal else "yerr": error}
    if series.kind == "bars":
        spacing = 1.0 if len(x) < 2 else float(np.diff(np.unique(x)).min(initial=np.inf))
        (axes.barh if horizontal else axes.bar)(
            x, y, 0.8 * (spacing if np.isfinite(spacing) else 1.0), **common, **error_options
        )
        return
    across, up = (y, x) if horizontal else (x, y)
    if series.kind == "line":
        dash, line_width = (
            ("-", 0.7) if series.is_muted else (MATPLOTLIB_DASHES[style_index % len(MATPLOTLIB_DASHES)], 1.8)
        )
        axes.plot(across, up, dash, linewidth=line_width, **common)
        if error is not None:
            axes.fill_between(x, series.low, series.high, color=color, alpha=BAND_OPACITY, linewidth=0)
    else:
        style = HIGHLIGHT_STYLE if series.is_highlighted else POINT_STYLE
        axes.errorbar(
            across,
            up,
            fmt=MATPLOTLIB_MARKERS[style_index % len(MATPLOTLIB_MARKERS)],
            elinewidth=0.8,
            **common,
            **error_options,
            **style,
        )


def _draw_heatmap(axes: Axes, heatmap: Heatmap) -> None:
    image = axes.imshow(heatmap.values, cmap="cividis", aspect="auto")
    axes.set_xticks(
        range(len(heatmap.column_names)),
        [shorten_label(name, 24) for name in heatmap.column_names],
        rotation=45,
        ha="right",
    )
    axes.set_yticks(range(len(heatmap.row_names)), [shorten_label(name, 24) for name in heatmap.row_names])
    axes.set_xlabel(escape_unprintable(heatmap.x_title))
    axes.set_ylabel(escape_unprintable(heatmap.y_title))
    if len(heatmap.column_names) > MAX_ANNOTATED_COLUMNS:
        assert axes.figure is not None
        axes.figure.colorbar(image, ax=axes)
        return
    middle = (heatmap.values.max() + heatmap.values.min()) / 2
    for (row, column), value in np.ndenumerate(heatmap.values):
        color = "white" if value <= middle else "black"
        axes.text(column, row, format_cell(value), ha="center", va="center", color=color, fontsize=8)


def _draw_image_grid(canvas: Canvas, grid: ImageGrid) -> None:
    n_rows = math.ceil(len(grid.images) / grid.columns)
    chars_per_line = int(92 / grid.columns)
    for index, (image, caption) in enumerate(zip(grid.images, grid.captions, strict=True)):
        axes = canvas.add_subplot(n_rows, grid.columns, index + 1)
        axes.imshow(image, interpolation="nearest" if image.shape[0] <= 96 else "antialiased")
        axes.set_axis_off()
        lines = textwrap.wrap(escape_unprintable(caption), chars_per_line)[:4]
        axes.set_title("\n".join(lines), fontsize=7.5, y=-0.03, va="top", pad=0)
