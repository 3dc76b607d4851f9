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

from pipeline.report.drawing.figure import Chart, Figure, Gallery, Grid, Series
from pipeline.report.drawing.style import (
    BAND_OPACITY,
    DASHES,
    FULLEST,
    MARKS,
    QUIET_OPACITY,
    cell,
    colours,
    entries,
    escaped,
    label,
    lies,
    places,
    ticks,
    whole,
)

DRAW = """
for (const place of document.querySelectorAll("[data-plot]")) {
  const plot = JSON.parse(place.dataset.plot);
  const tools = ["select2d", "lasso2d", "autoScale2d"];
  Plotly.newPlot(place, plot.data, plot.layout, {displaylogo: false, responsive: true, modeBarButtonsToRemove: tools});
}
"""
GRID_LINES = "rgba(128, 128, 128, 0.3)"
LOSSLESS = 96 * 96  # pixels: larger pictures are JPEG


def library() -> str:
    """The script that a page with figures needs once, at its end: plotly itself, and a loop that draws them all."""
    return f"{get_plotlyjs()}{DRAW}"


def fragment(figure: Figure) -> str:
    """HTML for a page that has `library`; every name in it is escaped."""
    drawn = figure.drawn
    if isinstance(drawn, Gallery):
        return _gallery(drawn)
    if isinstance(drawn, Chart) and not drawn.series:
        return ""
    plot = _chart(drawn) if isinstance(drawn, Chart) else _grid(drawn)
    plot.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        dragmode=False,  # on a phone, dragging scrolls the page
        hoverlabel={"align": "left"},
        height=_height(drawn),
    )
    said = escaped(f"{figure.title}. {figure.words}")
    return f'<div class="plot" role="img" aria-label="{said}" data-plot="{escape(plot.to_json())}"></div>'


def _height(drawn: Chart | Grid) -> int:
    """Of the plot, in pixels."""
    if isinstance(drawn, Grid):
        return 160 + max(180, 28 * min(len(drawn.rows), FULLEST))
    return 100 + 30 * max(len(series.x) for series in drawn.series) if lies(drawn) else 400


def _chart(chart: Chart) -> plotly.Figure:
    plot, on_side = plotly.Figure(), lies(chart)
    for series, colour, place, entry in zip(chart.series, colours(chart), places(chart), entries(chart), strict=True):
        plot.add_traces(_band(series, colour) if series.kind == "line" and series.low else [])
        bars = series.kind == "bars"
        trace = _bars(series, colour, on_side) if bars else _scatter(series, colour, place, on_side)
        plot.add_trace(trace.update(name=escaped(entry), showlegend=bool(entry), legendgroup=escaped(series.name)))
    across, up = (chart.y, chart.x) if on_side else (chart.x, chart.y)
    lines = {"gridcolor": GRID_LINES, "zeroline": False, "automargin": True}
    plot.update_xaxes(title={"text": escaped(across), "standoff": 8, "font": {"size": 13}}, **lines)
    plot.update_yaxes(title={"text": escaped(up), "standoff": 8, "font": {"size": 13}}, **lines)
    if chart.log_x:
        at = ticks(chart)
        plot.update_xaxes(type="log", tickmode="array", tickvals=list(at), ticktext=list(at.values()))
    elif whole(chart) and _span(chart) <= 10:
        plot.update_xaxes(dtick=1)
    if on_side:
        plot.update_yaxes(autorange="reversed", type="category", title=None)
    elif any(isinstance(x, str) for series in chart.series for x in series.x):
        plot.update_xaxes(type="category")
    return plot


def _span(chart: Chart) -> float:
    return float(np.ptp([x for series in chart.series for x in series.x]))


def _scatter(series: Series, colour: str, place: int, on_side: bool) -> plotly.Scatter:
    """A line, or a cloud of points with how sure each is."""
    x, y = _names(series), list(series.y)
    look = _marker(series.ring, colour, place) if series.kind == "points" else _line(series.quiet, colour, place)
    error = _error(series) if series.kind == "points" and series.low else None
    return plotly.Scatter(
        x=y if on_side else x,
        y=x if on_side else y,
        error_x=error if on_side else None,
        error_y=None if on_side else error,
        hoverinfo="skip" if series.quiet and not series.labels else None,
        **look,
        **_common(series),
    )


def _marker(ring: bool, colour: str, place: int) -> dict[str, Any]:
    mark = MARKS[place % len(MARKS)]
    if not ring:
        return {"mode": "markers", "marker": {"symbol": mark, "size": 8, "color": colour}}
    open_mark = {"symbol": f"{mark}-open", "size": 16, "color": colour, "line": {"width": 2.5, "color": colour}}
    return {"mode": "markers", "marker": open_mark}


def _line(quiet: bool, colour: str, place: int) -> dict[str, Any]:
    dash = "solid" if quiet else DASHES[place % len(DASHES)]
    return {"mode": "lines", "line": {"color": colour, "width": 1 if quiet else 2.5, "dash": dash}}


def _common(series: Series) -> dict[str, Any]:
    """What points, lines and bars have alike."""
    return {
        "opacity": QUIET_OPACITY if series.quiet else 1,
        "text": [escaped(each) for each in series.labels] or None,
        "hovertemplate": "%{text}<extra></extra>" if series.labels else None,
    }


def _names(series: Series) -> list[float | str]:
    return [escaped(label(place)) if isinstance(place, str) else place for place in series.x]


def _error(series: Series) -> dict[str, Any]:
    above = [high - y for y, high in zip(series.y, series.high, strict=True)]
    below = [y - low for y, low in zip(series.y, series.low, strict=True)]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1, "width": 2}


def _bars(series: Series, colour: str, on_side: bool) -> plotly.Bar:
    names, values = _names(series), list(series.y)
    error = _error(series) if series.low else None
    return plotly.Bar(
        x=values if on_side else names,
        y=names if on_side else values,
        orientation="h" if on_side else "v",
        error_x=error if on_side else None,
        error_y=None if on_side else error,
        marker={"color": colour},
        textposition="none",
        **_common(series),
    )


def _band(series: Series, colour: str) -> list[plotly.Scatter]:
    """How sure a line is: the area between its low and its high."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    edge = {"x": list(series.x), "mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    fill = f"rgba({red}, {green}, {blue}, {BAND_OPACITY})"
    return [
        plotly.Scatter(y=list(series.low), **edge),
        plotly.Scatter(y=list(series.high), fill="tonexty", fillcolor=fill, **edge),
    ]


def _grid(grid: Grid) -> plotly.Figure:
    columns, rows = ([escaped(label(name, 24)) for name in names] for names in (grid.columns, grid.rows))
    written = [[cell(value) for value in row] for row in grid.values]
    plot = plotly.Figure(
        plotly.Heatmap(
            z=grid.values,
            x=list(range(len(columns))),  # by place: two long names may be shortened to the same
            y=list(range(len(rows))),
            customdata=[[f"{row}, {column}: " for column in columns] for row in rows],
            text=written,
            texttemplate="%{text}" if len(columns) <= FULLEST else None,
            hovertemplate="%{customdata}%{text}<extra></extra>",
            colorscale="Cividis",
            showscale=len(columns) > FULLEST,
            xgap=1,
            ygap=1,
        )
    )
    plain = {"showgrid": False, "zeroline": False, "automargin": True, "ticks": ""}
    places = {"tickmode": "array", "tickvals": list(range(max(len(columns), len(rows))))}
    plot.update_xaxes(title=escaped(grid.x), ticktext=columns, tickangle=-45, **places, **plain)
    plot.update_yaxes(title=escaped(grid.y), ticktext=rows, autorange="reversed", **places, **plain)
    return plot


def _gallery(gallery: Gallery) -> str:
    shown = [
        f'<figure><img src="{_embedded(picture)}" alt="{escaped(caption)}" loading="lazy">'
        f"<figcaption>{escaped(caption)}</figcaption></figure>"
        for picture, caption in zip(gallery.pictures, gallery.captions, strict=True)
    ]
    return f'<div class="gallery" style="--wide: {gallery.wide}">{"".join(shown)}</div>'


def _embedded(pixels: NDArray[np.uint8]) -> str:
    """A picture in its own address: small ones without loss."""
    stream, kind = io.BytesIO(), "png" if pixels.shape[0] * pixels.shape[1] <= LOSSLESS else "jpeg"
    Image.fromarray(pixels).save(stream, kind, **({"quality": 85} if kind == "jpeg" else {"optimize": True}))
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
