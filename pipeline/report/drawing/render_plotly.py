"""A figure as a fragment of HTML: charts by plotly, which show values on hover; images embedded as they are."""

import base64
import io
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as plotly
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image
from plotly.offline import get_plotlyjs

from pipeline.report.drawing import style
from pipeline.report.drawing.figure import Chart, Figure, Heatmap, ImageGrid, Series
from pipeline.report.drawing.style import SeriesStyle, escape_html, shorten_label

DRAW_SCRIPT = """
for (const place of document.querySelectorAll("[data-plot]")) {
  const plot = JSON.parse(place.dataset.plot);
  const tools = ["select2d", "lasso2d", "autoScale2d"];
  Plotly.newPlot(place, plot.data, plot.layout, {displaylogo: false, responsive: true, modeBarButtonsToRemove: tools});
}
"""
MARKERS = ("circle", "diamond", "square", "triangle-up", "x", "cross")
DASHES = ("solid", "dash", "dot", "dashdot")
GRID_LINE_COLOR = "rgba(128, 128, 128, 0.3)"
MAX_PNG_PIXELS = 96 * 96  # larger images are embedded as JPEG, which is smaller
LAYOUT: dict[str, Any] = {
    "template": "none",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 13},
    "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
    "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    "dragmode": False,  # on a phone, dragging scrolls the page
    "modebar": {"bgcolor": "rgba(0,0,0,0)"},  # it is always visible on a touch screen, and hides no data
    "hoverlabel": {"align": "left"},
}


def build_script() -> Markup:
    """Return the script that a page with figures includes once, at its end: plotly, and a loop that draws them all."""
    return Markup(f"{get_plotlyjs()}{DRAW_SCRIPT}")


def render_html(figure: Figure) -> Markup:
    """Return the figure as HTML for a page with `build_script()`, every name escaped; "" for an empty chart."""
    content = figure.content
    if isinstance(content, ImageGrid):
        return Markup(_render_image_grid(content))
    if isinstance(content, Chart) and not content.series:
        return Markup()
    plot = _plot_chart(content) if isinstance(content, Chart) else _plot_heatmap(content)
    height = 400
    if isinstance(content, Heatmap):
        height = 160 + max(180, 28 * min(len(content.row_names), style.MAX_ANNOTATED_COLUMNS))
    elif content.is_horizontal:
        height = 100 + 30 * max(len(series.x) for series in content.series)
    plot.update_layout(height=height, **LAYOUT)
    alt_text = escape_html(f"{figure.title}. {figure.caption}")
    plot_json = escape(plot.to_json())
    return Markup(f'<div class="plot" role="img" aria-label="{alt_text}" data-plot="{plot_json}"></div>')


def _plot_chart(chart: Chart) -> plotly.Figure:
    plot = plotly.Figure()
    for series, series_style in zip(chart.series, style.assign_styles(chart), strict=True):
        if series.kind == "line" and series.low:
            plot.add_traces(_build_band(series, series_style.color))
        plot.add_trace(_build_trace(chart, series, series_style))
    x_title, y_title = chart.orient(chart.x_title, chart.y_title)
    axis_options = {"gridcolor": GRID_LINE_COLOR, "zeroline": False, "automargin": True}
    plot.update_xaxes(title={"text": escape_html(x_title), "standoff": 8, "font": {"size": 13}}, **axis_options)
    plot.update_yaxes(title={"text": escape_html(y_title), "standoff": 8, "font": {"size": 13}}, **axis_options)
    if chart.log_x:
        ticks = style.compute_log_ticks(chart)
        plot.update_xaxes(type="log", tickmode="array", tickvals=list(ticks), ticktext=list(ticks.values()))
    elif chart.has_integer_x and np.ptp([x for series in chart.series for x in series.x]) <= 10:
        plot.update_xaxes(dtick=1)
    if chart.is_horizontal:
        plot.update_yaxes(autorange="reversed", type="category", title=None)
    elif chart.categories:
        plot.update_xaxes(type="category")
    return plot


def _build_trace(chart: Chart, series: Series, series_style: SeriesStyle) -> plotly.Bar | plotly.Scatter:
    """Return the bars, points or line of a series, with error bars except for a line, which has a band instead."""
    names = [escape_html(shorten_label(x)) if isinstance(x, str) else x for x in series.x]
    x, y = chart.orient(names, list(series.y))
    error_x, error_y = chart.orient(None, _build_error_bars(series) if series.low and series.kind != "line" else None)
    common = {
        "x": x,
        "y": y,
        "error_x": error_x,
        "error_y": error_y,
        "name": escape_html(series_style.legend_name),
        "showlegend": bool(series_style.legend_name),
        "legendgroup": escape_html(series.name),
        "opacity": series_style.opacity,
        "text": list(map(escape_html, series.point_labels)) or None,
        "hovertemplate": "%{text}<extra></extra>" if series.point_labels else None,
    }
    if series.kind == "bars":
        orientation = "h" if chart.is_horizontal else "v"
        return plotly.Bar(orientation=orientation, marker={"color": series_style.color}, textposition="none", **common)
    hoverinfo = "skip" if series.is_muted and not series.point_labels else None
    return plotly.Scatter(hoverinfo=hoverinfo, **_build_look(series, series_style), **common)


def _build_look(series: Series, series_style: SeriesStyle) -> dict[str, Any]:
    """Return the markers of points, rings if they are highlighted, or the stroke of a line."""
    color = series_style.color
    if series.kind == "line":
        dash = "solid" if series.is_muted else DASHES[series_style.index % len(DASHES)]
        return {"mode": "lines", "line": {"color": color, "width": 1 if series.is_muted else 2.5, "dash": dash}}
    symbol = MARKERS[series_style.index % len(MARKERS)]
    marker: dict[str, Any] = {"symbol": symbol, "size": 8, "color": color}
    if series.is_highlighted:
        marker |= {"symbol": f"{symbol}-open", "size": 16, "line": {"width": 2.5, "color": color}}
    return {"mode": "markers", "marker": marker}


def _build_error_bars(series: Series) -> dict[str, Any]:
    above = [high - y for y, high in zip(series.y, series.high, strict=True)]
    below = [y - low for y, low in zip(series.y, series.low, strict=True)]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1, "width": 2}


def _build_band(series: Series, color: str) -> list[plotly.Scatter]:
    """Return the area between a line's `low` and `high`, as two edges and a fill."""
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    edge = {"x": list(series.x), "mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    fill = f"rgba({red}, {green}, {blue}, {style.BAND_OPACITY})"
    return [
        plotly.Scatter(y=list(series.low), **edge),
        plotly.Scatter(y=list(series.high), fill="tonexty", fillcolor=fill, **edge),
    ]


def _plot_heatmap(heatmap: Heatmap) -> plotly.Figure:
    columns = [escape_html(shorten_label(name, style.MAX_CELL_LABEL_CHARS)) for name in heatmap.column_names]
    rows = [escape_html(shorten_label(name, style.MAX_CELL_LABEL_CHARS)) for name in heatmap.row_names]
    is_annotated = len(columns) <= style.MAX_ANNOTATED_COLUMNS
    look = {"colorscale": "Cividis", "showscale": not is_annotated, "xgap": 1, "ygap": 1}
    trace = plotly.Heatmap(
        z=heatmap.values,
        x=list(range(len(columns))),  # by position: two long names may be shortened to the same
        y=list(range(len(rows))),
        customdata=[[f"{row}, {column}: " for column in columns] for row in rows],
        text=[[style.format_cell(value) for value in row] for row in heatmap.values],
        texttemplate="%{text}" if is_annotated else None,
        hovertemplate="%{customdata}%{text}<extra></extra>",
        **look,
    )
    plot = plotly.Figure(trace)
    options = {"showgrid": False, "zeroline": False, "automargin": True, "ticks": "", "tickmode": "array"}
    options["tickvals"] = list(range(max(len(columns), len(rows))))
    plot.update_xaxes(title=escape_html(heatmap.x_title), ticktext=columns, tickangle=-45, **options)
    plot.update_yaxes(title=escape_html(heatmap.y_title), ticktext=rows, autorange="reversed", **options)
    return plot


def _render_image_grid(grid: ImageGrid) -> str:
    items = [
        f'<figure><img src="{_embed_image(image)}" alt="{escape_html(caption)}" loading="lazy">'
        f"<figcaption>{escape_html(caption)}</figcaption></figure>"
        for image, caption in zip(grid.images, grid.captions, strict=True)
    ]
    return f'<div class="gallery" style="--wide: {grid.columns}">{"".join(items)}</div>'


def _embed_image(pixels: NDArray[np.uint8]) -> str:
    """Return an image, uint8 [H, W, 3], as a data URL; small ones without loss."""
    stream = io.BytesIO()
    is_small = pixels.shape[0] * pixels.shape[1] <= MAX_PNG_PIXELS
    kind = "png" if is_small else "jpeg"
    Image.fromarray(pixels).save(stream, kind, **({"optimize": True} if is_small else {"quality": 85}))
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
