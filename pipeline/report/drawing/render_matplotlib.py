"""A figure as a PNG by matplotlib, for readers that run no scripts, such as MLflow's artifact view."""

import io
import math
import textwrap
import warnings
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import fontManager
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from pipeline.report.drawing import style
from pipeline.report.drawing.figure import Chart, Figure, Heatmap, ImageGrid, Series
from pipeline.report.drawing.style import SeriesStyle
from pipeline.runtime.text import escape_unprintable

DPI = 150
FIGURE_WIDTH = 8.0  # inches
CHART_HEIGHT = 4.4  # inches
MARKERS = ("o", "D", "s", "^", "X", "P")
DASHES = ("-", "--", ":", "-.")
FONTS = ("DejaVu Sans", "Noto Sans CJK KR", "NanumGothic", "Noto Sans CJK JP", "Malgun Gothic", "Apple SD Gothic Neo")
GRID_COLOR = "#d0d0d0"
POINT_STYLE: dict[str, Any] = {"markersize": 5.0}
HIGHLIGHT_STYLE: dict[str, Any] = {"markersize": 11.0, "markerfacecolor": "none", "markeredgewidth": 1.8, "zorder": 3}


def render_png(figure: Figure) -> bytes:
    """Return the figure as a PNG, 1,200 pixels wide: its title above, its caption below, on white."""
    content = figure.content
    title_lines = textwrap.wrap(escape_unprintable(figure.title), 78)
    caption_lines = textwrap.wrap(escape_unprintable(figure.caption), 126)
    caption_height = 0.18 * len(caption_lines) + 0.15
    content_height = _compute_content_height(content)
    height = content_height + caption_height + 0.12 + 0.23 * len(title_lines)
    layout = ConstrainedLayoutEngine(rect=(0.01, caption_height / height, 0.98, content_height / height))
    canvas = Canvas(figsize=(FIGURE_WIDTH, height), dpi=DPI, layout=layout)
    FigureCanvasAgg(canvas)
    canvas.text(0.012, 1 - 0.1 / height, "\n".join(title_lines), fontsize=12, weight="bold", va="top")
    top = (caption_height - 0.05) / height
    canvas.text(0.012, top, "\n".join(caption_lines), fontsize=8.5, va="top", linespacing=1.4)
    if isinstance(content, ImageGrid):
        _draw_image_grid(canvas, content)
    elif isinstance(content, Heatmap):
        _draw_heatmap(canvas.add_subplot(), content)
    elif content.series:
        _draw_chart(canvas.add_subplot(), content)
    _set_fonts(canvas)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of a script without an installed font
        canvas.savefig(stream, format="png")
    return stream.getvalue()


def _compute_content_height(content: Chart | Heatmap | ImageGrid) -> float:
    """Return the height of the content in inches."""
    if isinstance(content, ImageGrid):
        return math.ceil(len(content.images) / content.columns) * (FIGURE_WIDTH / content.columns + 0.1)
    if isinstance(content, Heatmap):
        return max(3.0, min(0.4 * len(content.row_names), FIGURE_WIDTH) + 1.2)
    if not content.series:
        return 0.1
    return 0.9 + 0.32 * max(len(series.x) for series in content.series) if content.is_horizontal else CHART_HEIGHT


def _set_fonts(canvas: Canvas) -> None:
    """Draw every text by the first font that has its letters, and no dollar sign as the start of a formula."""
    installed = {font.name for font in fontManager.ttflist}
    fonts = [name for name in FONTS if name in installed]
    for text in canvas.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
        text.set_fontfamily(fonts)


def _draw_chart(axes: Axes, chart: Chart) -> None:
    styles = style.assign_styles(chart)
    for series, series_style in zip(chart.series, styles, strict=True):
        _draw_series(axes, chart, series, series_style)
    x_axis, y_axis = chart.orient(axes.xaxis, axes.yaxis)
    x_axis.set_label_text("" if chart.is_horizontal else escape_unprintable(chart.x_title))
    y_axis.set_label_text(escape_unprintable(chart.y_title))
    numeric_axes = [y_axis]
    if chart.log_x:
        _set_log_axis(axes, chart)
    elif chart.categories:
        x_axis.set_ticks(range(len(chart.categories)), list(map(style.shorten_label, chart.categories)))
    else:
        numeric_axes.append(x_axis)
        if chart.has_integer_x:
            x_axis.set_major_locator(MaxNLocator(integer=True))
    if chart.is_horizontal:
        axes.invert_yaxis()
    for axis in numeric_axes:
        axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.grid(color=GRID_COLOR, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    names = [each.legend_name for each in styles if each.legend_name]
    if len(names) > 1:
        ncols = 4 if len("".join(names)) < 60 else 2
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=ncols, frameon=False, fontsize=9, borderaxespad=0.2)


def _set_log_axis(axes: Axes, chart: Chart) -> None:
    axes.set_xscale("log")
    limits = axes.get_xlim()
    ticks = style.compute_log_ticks(chart)
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xticks([], minor=True)
    axes.set_xlim(*limits)


def _draw_series(axes: Axes, chart: Chart, series: Series, series_style: SeriesStyle) -> None:
    x = np.array([chart.categories.index(x) if isinstance(x, str) else x for x in series.x], dtype=float)
    y = np.array(series.y, dtype=float)
    error = np.abs(np.array([series.low, series.high]) - y) if series.low else None
    x_error, y_error = chart.orient(None, error)
    color = series_style.color
    common: dict[str, Any] = {"color": color, "alpha": series_style.opacity, "label": series_style.legend_name}
    if series.kind == "bars":
        draw_bars = axes.barh if chart.is_horizontal else axes.bar
        spacing = min(np.diff(np.unique(x)), default=1.0)
        draw_bars(x, y, 0.8 * spacing, xerr=x_error, yerr=y_error, **common)
        return
    page_x, page_y = chart.orient(x, y)
    if series.kind == "points":
        marker = MARKERS[series_style.index % len(MARKERS)]
        look = HIGHLIGHT_STYLE if series.is_highlighted else POINT_STYLE
        axes.errorbar(page_x, page_y, xerr=x_error, yerr=y_error, fmt=marker, elinewidth=0.8, **common, **look)
        return
    dash = "-" if series.is_muted else DASHES[series_style.index % len(DASHES)]
    axes.plot(page_x, page_y, dash, linewidth=0.7 if series.is_muted else 1.8, **common)
    if series.low:
        axes.fill_between(x, series.low, series.high, color=color, alpha=style.BAND_OPACITY, linewidth=0)


def _draw_heatmap(axes: Axes, heatmap: Heatmap) -> None:
    image = axes.imshow(heatmap.values, cmap="cividis", aspect="auto")
    columns = [style.shorten_label(name, style.MAX_CELL_LABEL_CHARS) for name in heatmap.column_names]
    rows = [style.shorten_label(name, style.MAX_CELL_LABEL_CHARS) for name in heatmap.row_names]
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel(escape_unprintable(heatmap.x_title))
    axes.set_ylabel(escape_unprintable(heatmap.y_title))
    if len(columns) > style.MAX_ANNOTATED_COLUMNS:
        assert axes.figure is not None
        axes.figure.colorbar(image, ax=axes)
        return
    middle = (heatmap.values.max() + heatmap.values.min()) / 2
    for (row, column), value in np.ndenumerate(heatmap.values):
        color = "white" if value <= middle else "black"
        axes.text(column, row, style.format_cell(value), ha="center", va="center", color=color, fontsize=8)


def _draw_image_grid(canvas: Canvas, grid: ImageGrid) -> None:
    n_rows = math.ceil(len(grid.images) / grid.columns)
    chars_per_line = int(92 / grid.columns)
    for index, (image, caption) in enumerate(zip(grid.images, grid.captions, strict=True)):
        axes = canvas.add_subplot(n_rows, grid.columns, index + 1)
        axes.imshow(image, interpolation="nearest" if image.shape[0] <= 96 else "antialiased")
        axes.set_axis_off()
        lines = textwrap.wrap(escape_unprintable(caption), chars_per_line)[:4]
        axes.set_title("\n".join(lines), fontsize=7.5, y=-0.03, va="top", pad=0)
