"""A figure as data: what it shows and what it says; `interactive` draws it for a page, `still` as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SeriesKind = Literal["line", "points", "bars"]


@dataclass(frozen=True)
class Series:
    """One line, cloud of points or row of bars of a chart.

    name: in the legend; series of one name share its colour. low, high: of each y, where it is known how sure it is;
    labels: what each point is, in a few words. quiet: of little weight beside the others, such as one of many curves;
    ring: drawn around the points of others.
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
    """Series over two axes, whose titles say the unit."""

    x_title: str
    y_title: str
    series: tuple[Series, ...]
    log_x: bool = False


@dataclass(frozen=True)
class Heatmap:
    """A count for each pair, such as a confusion matrix: float [rows, columns]."""

    x_title: str
    y_title: str
    column_names: tuple[str, ...]
    row_names: tuple[str, ...]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class ImageGrid:
    """Pictures, uint8 [H, W, 3], with a line of words under each."""

    images: tuple[NDArray[np.uint8], ...]
    captions: tuple[str, ...]
    columns: int = 5  # in a row


@dataclass(frozen=True)
class Figure:
    """What is drawn, and what it says.

    name: of its files, without an ending; words: a sentence or two with the figures in them, for who cannot see it
    as well.
    """

    name: str
    title: str
    caption: str
    content: Chart | Heatmap | ImageGrid
