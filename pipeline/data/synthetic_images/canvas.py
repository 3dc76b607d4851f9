"""Draw polygons and patterns on a transparent layer, in an animal's own coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Color = tuple[int, int, int]
Point = tuple[float, float]
Points = NDArray[np.float64]
PointList = Points | Sequence[Point]


def blend(first: Color, second: Color, weight: float) -> Color:
    """Interpolate between two colors; `weight` is the share of the second."""
    mixed = [round(a + (b - a) * weight) for a, b in zip(first, second, strict=True)]
    return (mixed[0], mixed[1], mixed[2])


def ellipse(center: Point, radii: Point, tilt: float = 0.0, fluff: float = 0.0, corners: int = 30) -> Points:
    """Return an ellipse as points [corners, 2]; `tilt` in radians, `fluff` makes its edge jagged like long fur."""
    circle, is_odd = _unit_circle(corners)
    points = circle * radii
    if fluff:
        points *= 1 + fluff * (is_odd - 0.3)
    if tilt:
        points = points @ _rotation(tilt)
    moved: Points = points + center
    return moved


def _rotation(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


@cache
def _unit_circle(corners: int) -> tuple[Points, Points]:
    """Return the corners of a circle and the parity of each; cached, since an image has about a hundred ellipses."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    is_odd: Points = np.arange(corners, dtype=np.float64)[:, None] % 2
    return np.stack([np.cos(angle), np.sin(angle)], axis=1), is_odd


def ribbon(path: Sequence[Point], start_width: float, end_width: float, fluff: float = 0.0) -> Points:
    """Return the outline of a band along a path (a tail, a leg) whose width goes from `start_width` to `end_width`."""
    spine = np.array(path, dtype=np.float64)
    positions = np.linspace(0, len(spine) - 1, 14)
    smooth = np.stack([_interpolate_smooth(values, positions) for values in spine.T], axis=1)
    step = np.gradient(smooth, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / (np.hypot(step[:, 0], step[:, 1])[:, None] + 1e-9)
    half = (np.linspace(start_width, end_width, 14) / 2 * (1 + fluff * (np.arange(14) % 2)))[:, None]
    tip = smooth[-1] + step[-1] / (np.hypot(*step[-1]) + 1e-9) * end_width / 2
    return np.concatenate([smooth + normal * half, tip[None], (smooth - normal * half)[::-1]])


def _interpolate_smooth(values: NDArray[np.float64], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate linearly and smooth the corners."""
    sampled = np.interp(positions, np.arange(len(values)), values)
    padded = np.concatenate([sampled[:1], sampled, sampled[-1:]])
    rounded: NDArray[np.float64] = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return np.concatenate([sampled[:1], rounded[1:-1], sampled[-1:]])


class DrawingLayer:
    """Transparent image of side x side pixels; its animal looks to the left around (0, 0), y points down.

    One unit of the animal is `unit` of the image's side; the animal stands at `origin`, rotated by `tilt` radians, and
    looks to the right if `is_mirrored`.
    """

    def __init__(self, side: int, origin: Point, unit: float, tilt: float, is_mirrored: bool) -> None:
        self.side = side
        self.unit = unit
        self.rgb = Image.new("RGB", (side, side))
        self.alpha = Image.new("L", (side, side))
        self._origin = np.array(origin) * side
        self._matrix = _rotation(tilt) * np.array([-1.0 if is_mirrored else 1.0, 1.0])[None, :] * unit * side
        self._rgb_draw = ImageDraw.Draw(self.rgb)
        self._alpha_draw = ImageDraw.Draw(self.alpha)

    def _to_pixels(self, points: PointList) -> list[Point]:
        return [(x, y) for x, y in (np.asarray(points) @ self._matrix.T + self._origin).tolist()]

    def polygon(self, points: PointList, color: Color, outline: Color | None = None) -> None:
        """Fill a part with one color, with a line around it if `outline` is given."""
        corners = self._to_pixels(points)
        self._rgb_draw.polygon(corners, fill=color)
        self._alpha_draw.polygon(corners, fill=255)
        if outline is not None:
            self.line(np.concatenate([points, points[:1]]), outline, 0.022)

    def line(self, points: PointList, color: Color, width: float) -> None:
        """Draw a line; `width` is in units of the animal and at least one pixel."""
        corners = self._to_pixels(points)
        pixel_width = max(1, round(width * self.unit * self.side))
        self._rgb_draw.line(corners, fill=color, width=pixel_width, joint="curve")
        self._alpha_draw.line(corners, fill=255, width=pixel_width, joint="curve")

    def mask(self, shapes: Sequence[tuple[Points, int]], blur: float = 0.0) -> Image.Image:
        """Return a mask of shapes with strengths 0-255, blurred by `blur` units."""
        mask = Image.new("L", (self.side, self.side))
        drawing = ImageDraw.Draw(mask)
        for points, strength in shapes:
            drawing.polygon(self._to_pixels(points), fill=strength)
        return mask.filter(ImageFilter.BoxBlur(blur * self.unit * self.side)) if blur else mask

    def paint_pattern(self, points: Points | None, color: Color, pattern: Image.Image) -> None:
        """Paint a pattern in one color inside a part, or inside the whole animal if `points` is None."""
        inside = self.alpha if points is None else self.mask([(points, 255)])
        self.rgb.paste(color, mask=ImageChops.multiply(inside, pattern))


@dataclass(frozen=True)
class HeadFrame:
    """Head of an animal on a layer: its parts are drawn in units of its radius, around its center (x, y)."""

    layer: DrawingLayer
    x: float
    y: float
    radius: float

    def _to_animal(self, points: PointList) -> Points:
        return np.asarray(points, dtype=np.float64) * self.radius + (self.x, self.y)

    def polygon(self, points: PointList, color: Color, outline: Color | None = None) -> None:
        """Draw as `DrawingLayer.polygon` does, in head coordinates."""
        self.layer.polygon(self._to_animal(points), color, outline)

    def line(self, points: PointList, color: Color, width: float) -> None:
        """Draw as `DrawingLayer.line` does, in head coordinates; `width` is in units of the radius."""
        self.layer.line(self._to_animal(points), color, width * self.radius)

    def paint_shapes(self, part: Points | None, color: Color, shapes: list[Points], strength: int, blur: float) -> None:
        """Paint shapes of one strength and color inside a part, or inside the whole animal if `part` is None."""
        mask = self.layer.mask([(self._to_animal(shape), strength) for shape in shapes], blur * self.radius)
        self.layer.paint_pattern(None if part is None else self._to_animal(part), color, mask)
