"""A figure as data; `render_plotly` draws it for a page, `render_matplotlib` as a PNG."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

SeriesKind = Literal["line", "points", "bars"]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Series:
    """One line, cloud of points or row of bars of a chart; series of one name share a color and a legend entry.

    low, high: ends of an interval around each y, or empty; point_labels: hover text of each point, or empty.
    is_muted: pale, in the background of the others; is_highlighted: rings around points of other series.
    """

    name: str
    kind: SeriesKind
    x: Sequence[float | str]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    point_labels: Sequence[str] = ()
    is_muted: bool = False
    is_highlighted: bool = False


@dataclass(frozen=True)
class Chart:
    """Series over two axes, whose titles include the unit."""

    x_title: str
    y_title: str
    series: tuple[Series, ...]
    log_x: bool = False

    @cached_property
    def categories(self) -> list[str]:
        """Return the names along the x axis in the order in which they first appear, or [] for numbers."""
        return list(dict.fromkeys(x for series in self.series for x in series.x if isinstance(x, str)))

    @property
    def is_horizontal(self) -> bool:
        """Return whether the x axis is drawn upright, where the names of bars have room."""
        return bool(self.categories) and any(series.kind == "bars" for series in self.series)

    @property
    def has_integer_x(self) -> bool:
        """Return whether every x is a whole number, such as an epoch."""
        return not self.categories and all(float(x).is_integer() for series in self.series for x in series.x)

    def orient(self, along_x: Value, along_y: Value) -> tuple[Value, Value]:
        """Return what belongs to the x and the y axis of the page, swapped for a horizontal chart."""
        return (along_y, along_x) if self.is_horizontal else (along_x, along_y)


@dataclass(frozen=True)
class Heatmap:
    """A number for each pair of names, such as a confusion matrix: float64 [rows, columns]."""

    x_title: str
    y_title: str
    column_names: tuple[str, ...]
    row_names: tuple[str, ...]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class ImageGrid:
    """Images, uint8 [H, W, 3], with a one-line caption under each; `columns` of them side by side."""

    images: tuple[NDArray[np.uint8], ...]
    captions: tuple[str, ...]
    columns: int = 5


@dataclass(frozen=True)
class Figure:
    """A titled chart, heatmap or image grid.

    name: of its files, without the suffix; caption: the findings in one or two sentences with their numbers, which
    also serve as the alternative text.
    """

    name: str
    title: str
    caption: str
    content: Chart | Heatmap | ImageGrid

    @property
    def is_full_width(self) -> bool:
        """Return whether the figure takes the whole width of a page: all except charts do."""
        return not isinstance(self.content, Chart) or not self.content.series
