"""A figure as a piece of a page: charts by plotly, which answer to the pointer, and pictures as they are."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as plotly
from numpy.typing import NDArray
from PIL import Image
from plotly.offline import get_plotlyjs

from pipeline.report.drawing.figure import Chart, Figure, Heatmap, ImageGrid, Series
from pipeline.report.drawing.style import (
    BAND_OPACITY,
    MAX_ANNOTATED_COLUMNS,
    MUTED_OPACITY,
    PLOTLY_DASHES,
    PLOTLY_MARKERS,
    assign_colors,
    assign_legend_names,
    assign_style_indices,
    compute_log_ticks,
    escape_html,
    format_cell,
    has_integer_x,
    is_horizontal,
    shorten_label,
)

DRAW_SCRIPT = """
for (const place of document.querySelectorAll("[data-plot]")) {
  const plot = JSON.parse(place.dataset.plot);
  const tools = ["select2d", "lasso2d", "autoScale2d"];
  Plotly.newPlot(place, plot.data, plot.layout, {displaylogo: false, responsive: true, modeBarButtonsToRemove: tools});
}
"""
GRID_LINE_COLOR = "rgba(128, 128, 128, 0.3)"
MAX_PNG_PIXELS = 96 * 96  # pixels: larger pictures are JPEG


def build_script() -> str:
    """The script that a page with figures needs once, at its end: plotly itself, and a loop that draws them all."""
    return f"{get_plotlyjs()}{DRAW_SCRIPT}"


def render_html(figure: Figure) -> str:
    """HTML for a page that has `library`; every name in it is escaped."""
    content = figure.content
    if isinstance(content, ImageGrid):
        return _render_image_grid(content)
    if isinstance(content, Chart) and not content.series:
        return ""
    plot = _plot_chart(content) if isinstance(content, Chart) else _plot_heatmap(content)
    plot.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        dragmode=False,  # on a phone, dragging scrolls the page
        hoverlabel={"align": "left"},
        height=_compute_height(content),
    )
    alt_text = escape_html(f"{figure.title}. {figure.caption}")
    return f'<div class="plot" role="img" aria-label="{alt_text}" data-plot="{escape(plot.to_json())}"></div>'


def _compute_height(content: Chart | Heatmap) -> int:
    """Of the plot, in pixels."""
    if isinstance(content, Heatmap):
        return 160 + max(180, 28 * min(len(content.row_names), MAX_ANNOTATED_COLUMNS))
    return 100 + 30 * max(len(series.x) for series in content.series) if is_horizontal(content) else 400


def _plot_chart(chart: Chart) -> plotly.Figure:
    plot, horizontal = plotly.Figure(), is_horizontal(chart)
    for series, color, style_index, legend_name in zip(
        chart.series, assign_colors(chart), assign_style_indices(chart), assign_legend_names(chart), strict=True
    ):
        plot.add_traces(_build_band(series, color) if series.kind == "line" and series.low else [])
        bars = series.kind == "bars"
        trace = (
            _build_bars(series, color, horizontal) if bars else _build_scatter(series, color, style_index, horizontal)
        )
        plot.add_trace(
            trace.update(
                name=escape_html(legend_name), showlegend=bool(legend_name), legendgroup=escape_html(series.name)
            )
        )
    x_title, y_title = (chart.y_title, chart.x_title) if horizontal else (chart.x_title, chart.y_title)
    axis_options = {"gridcolor": GRID_LINE_COLOR, "zeroline": False, "automargin": True}
    plot.update_xaxes(title={"text": escape_html(x_title), "standoff": 8, "font": {"size": 13}}, **axis_options)
    plot.update_yaxes(title={"text": escape_html(y_title), "standoff": 8, "font": {"size": 13}}, **axis_options)
    if chart.log_x:
        tick_labels = compute_log_ticks(chart)
        plot.update_xaxes(type="log", tickmode="array", tickvals=list(tick_labels), ticktext=list(tick_labels.values()))
    elif has_integer_x(chart) and _compute_x_span(chart) <= 10:
        plot.update_xaxes(dtick=1)
    if horizontal:
        plot.update_yaxes(autorange="reversed", type="category", title=None)
    elif any(isinstance(x, str) for series in chart.series for x in series.x):
        plot.update_xaxes(type="category")
    return plot


def _compute_x_span(chart: Chart) -> float:
    return float(np.ptp([x for series in chart.series for x in series.x]))


def _build_scatter(series: Series, color: str, style_index: int, horizontal: bool) -> plotly.Scatter:
    """A line, or a cloud of points with how sure each is."""
    x, y = _format_x(series), list(series.y)
    style = (
        _marker_style(series.is_highlighted, color, style_index)
        if series.kind == "points"
        else _line_style(series.is_muted, color, style_index)
    )
    error = _build_error_bars(series) if series.kind == "points" and series.low else None
    return plotly.Scatter(
        x=y if horizontal else x,
        y=x if horizontal else y,
        error_x=error if horizontal else None,
        error_y=None if horizontal else error,
        hoverinfo="skip" if series.is_muted and not series.point_labels else None,
        **style,
        **_common_options(series),
    )


def _marker_style(is_highlighted: bool, color: str, style_index: int) -> dict[str, Any]:
    symbol = PLOTLY_MARKERS[style_index % len(PLOTLY_MARKERS)]
    if not is_highlighted:
        return {"mode": "markers", "marker": {"symbol": symbol, "size": 8, "color": color}}
    open_marker = {"symbol": f"{symbol}-open", "size": 16, "color": color, "line": {"width": 2.5, "color": color}}
    return {"mode": "markers", "marker": open_marker}


def _line_style(is_muted: bool, color: str, style_index: int) -> dict[str, Any]:
    dash = "solid" if is_muted else PLOTLY_DASHES[style_index % len(PLOTLY_DASHES)]
    return {"mode": "lines", "line": {"color": color, "width": 1 if is_muted else 2.5, "dash": dash}}


def _common_options(series: Series) -> dict[str, Any]:
    """What points, lines and bars have alike."""
    return {
        "opacity": MUTED_OPACITY if series.is_muted else 1,
        "text": [escape_html(each) for each in series.point_labels] or None,
        "hovertemplate": "%{text}<extra></extra>" if series.point_labels else None,
    }


def _format_x(series: Series) -> list[float | str]:
    return [escape_html(shorten_label(place)) if isinstance(place, str) else place for place in series.x]


def _build_error_bars(series: Series) -> dict[str, Any]:
    above = [high - y for y, high in zip(series.y, series.high, strict=True)]
    below = [y - low for y, low in zip(series.y, series.low, strict=True)]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1, "width": 2}


def _build_bars(series: Series, color: str, horizontal: bool) -> plotly.Bar:
    names, values = _format_x(series), list(series.y)
    error = _build_error_bars(series) if series.low else None
    return plotly.Bar(
        x=values if horizontal else names,
        y=names if horizontal else values,
        orientation="h" if horizontal else "v",
        error_x=error if horizontal else None,
        error_y=None if horizontal else error,
        marker={"color": color},
        textposition="none",
        **_common_options(series),
    )


def _build_band(series: Series, color: str) -> list[plotly.Scatter]:
    """How sure a line is: the area between its low and its high."""
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    edge = {"x": list(series.x), "mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    fill = f"rgba({red}, {green}, {blue}, {BAND_OPACITY})"
    return [
        plotly.Scatter(y=list(series.low), **edge),
        plotly.Scatter(y=list(series.high), fill="tonexty", fillcolor=fill, **edge),
    ]


def _plot_heatmap(heatmap: Heatmap) -> plotly.Figure:
    column_labels, row_labels = (
        [escape_html(shorten_label(name, 24)) for name in names] for names in (heatmap.column_names, heatmap.row_names)
    )
    cell_texts = [[format_cell(value) for value in row] for row in heatmap.values]
    plot = plotly.Figure(
        plotly.Heatmap(
            z=heatmap.values,
            x=list(range(len(column_labels))),  # by place: two long names may be shortened to the same
            y=list(range(len(row_labels))),
            customdata=[[f"{row}, {column}: " for column in column_labels] for row in row_labels],
            text=cell_texts,
            texttemplate="%{text}" if len(column_labels) <= MAX_ANNOTATED_COLUMNS else None,
            hovertemplate="%{customdata}%{text}<extra></extra>",
            colorscale="Cividis",
            showscale=len(column_labels) > MAX_ANNOTATED_COLUMNS,
            xgap=1,
            ygap=1,
        )
    )
    axis_options = {"showgrid": False, "zeroline": False, "automargin": True, "ticks": ""}
    tick_options = {"tickmode": "array", "tickvals": list(range(max(len(column_labels), len(row_labels))))}
    plot.update_xaxes(
        title=escape_html(heatmap.x_title), ticktext=column_labels, tickangle=-45, **tick_options, **axis_options
    )
    plot.update_yaxes(
        title=escape_html(heatmap.y_title), ticktext=row_labels, autorange="reversed", **tick_options, **axis_options
    )
    return plot


def _render_image_grid(grid: ImageGrid) -> str:
    items = [
        f'<figure><img src="{_embed_image(picture)}" alt="{escape_html(caption)}" loading="lazy">'
        f"<figcaption>{escape_html(caption)}</figcaption></figure>"
        for picture, caption in zip(grid.images, grid.captions, strict=True)
    ]
    return f'<div class="gallery" style="--wide: {grid.columns}">{"".join(items)}</div>'


def _embed_image(pixels: NDArray[np.uint8]) -> str:
    """A picture in its own address: small ones without loss."""
    stream, kind = io.BytesIO(), "png" if pixels.shape[0] * pixels.shape[1] <= MAX_PNG_PIXELS else "jpeg"
    Image.fromarray(pixels).save(stream, kind, **({"quality": 85} if kind == "jpeg" else {"optimize": True}))
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
