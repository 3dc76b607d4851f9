"""Draws one cat: its breed gives shape and coat, its age the eyes, the size of the head and the grey."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pipeline.data.synthetic_images.appearance import WHITE, Cat, Head, Pose
from pipeline.data.synthetic_images.canvas import Colour, Layer, Points, blob, ribbon
from pipeline.data.synthetic_images.cat_heads import draw_head


def draw_cat(layer: Layer, cat: Cat, pose: Pose, draw: np.random.Generator) -> None:
    """A whole cat, or the face alone; it looks to the left, about two units high."""
    young = 1 + 0.3 * (1 - cat.grown)
    if pose == "face":
        _chest(layer, cat, draw)
        draw_head(layer, cat, Head(0, 0, 0.65 + 0.17 * cat.grown), draw)
    elif pose == "sitting":
        _sitting(layer, cat, draw)
        draw_head(layer, cat, Head(0, -0.5, 0.4 * young), draw)
    else:
        _standing(layer, cat, draw)
        draw_head(layer, cat, Head(-0.62, -0.34, 0.37 * young), draw)


def _part(layer: Layer, points: Points, colour: Colour, cat: Cat, pattern: Image.Image | None = None) -> None:
    layer.fill(points, colour, cat.edge)
    if pattern is not None:
        layer.paint(points, cat.marks, pattern)


def _chest(layer: Layer, cat: Cat, draw: np.random.Generator) -> None:
    width = 1.0 - 0.35 * cat.breed.slim + 0.2 * cat.breed.fluff
    chest = blob((0, 1.35), (width, 0.85), fluff=0.1 * cat.breed.fluff)
    _part(layer, chest, cat.fur, cat, _pattern(layer, cat, draw))
    if cat.breed.white == "blaze":
        layer.fill(blob((0, 1.2), (0.45, 0.7), fluff=0.15), WHITE)


def _sitting(layer: Layer, cat: Cat, draw: np.random.Generator) -> None:
    breed, pattern = cat.breed, _pattern(layer, cat, draw)
    wide, leg = 1.15 - 0.4 * breed.slim + 0.15 * breed.fluff, 0.2 - 0.07 * breed.slim
    swing = draw.uniform(-0.12, 0.12)
    curve = [(0.3, 0.82), (0.75, 0.86), (0.92 + swing, 0.5), (0.8 + swing, 0.16)]
    tail = ribbon(curve, 0.15 * breed.tail, 0.12 * breed.tail)
    _part(layer, tail, cat.limb, cat, None if breed.pattern in ("rosettes", "spots") else pattern)
    for side in (-1, 1):
        _part(layer, blob((side * 0.3 * wide, 0.68), (0.24, 0.25)), cat.fur, cat, pattern)
    _part(layer, blob((0, 0.3), (0.4 * wide, 0.62), fluff=0.12 * breed.fluff), cat.fur, cat, pattern)
    if breed.white == "blaze":
        layer.fill(blob((0, 0.2), (0.2, 0.45), fluff=0.15), WHITE)
    for side in (-1, 1):
        shin = ribbon([(side * 0.13 * wide, 0.25), (side * 0.14 * wide, 0.6), (side * 0.16 * wide, 0.9)], leg, leg)
        _leg(layer, cat, shin, (side * 0.17 * wide, 0.92), leg, pattern)


def _standing(layer: Layer, cat: Cat, draw: np.random.Generator) -> None:
    breed, pattern = cat.breed, _pattern(layer, cat, draw)
    thick, leg = 0.36 - 0.12 * breed.slim + 0.05 * breed.fluff, 0.19 - 0.08 * breed.slim
    swing = draw.uniform(-0.25, 0.15)
    curve = [(0.7, 0.0), (0.95, -0.15), (1.05, -0.5), (1.1 + swing, -0.85)]
    tail = ribbon(curve, 0.15 * breed.tail, 0.13 * breed.tail, 0.2 * breed.fluff)
    _part(layer, tail, cat.limb, cat, None if breed.pattern in ("rosettes", "spots") else pattern)
    for x in (-0.26, 0.46, -0.44, 0.66):
        step = draw.uniform(-0.08, 0.08)
        shin = ribbon([(x, 0.12), (x + step / 2, 0.5), (x + step, 0.86)], leg * 1.25, leg)
        _leg(layer, cat, shin, (x + step - 0.04, 0.88), leg, pattern)
    _part(layer, blob((0.12, 0.05), (0.72, thick), fluff=0.14 * breed.fluff), cat.fur, cat, pattern)
    if breed.white == "blaze":
        layer.fill(blob((-0.36, 0.12), (0.2, 0.26), fluff=0.15), WHITE)


def _leg(
    layer: Layer, cat: Cat, shin: Points, foot: tuple[float, float], width: float, pattern: Image.Image | None
) -> None:
    white = cat.breed.white
    colour = WHITE if white == "blaze" else cat.limb
    _part(layer, shin, colour, cat, None if cat.breed.pattern == "points" else pattern)
    _part(layer, blob(foot, (width * 0.72, width * 0.45)), WHITE if white != "none" else colour, cat)


def _pattern(layer: Layer, cat: Cat, draw: np.random.Generator) -> Image.Image | None:
    """The marks of the body, spread over all of it; None where a coat has none."""
    kind = cat.breed.pattern
    if kind == "tabby":
        bends = draw.uniform(-0.08, 0.08, (14, 3))
        bent = zip(_steps(14), bends, strict=True)
        bands = [ribbon([(x + a, -0.6), (x + b, 0.3), (x + c, 1.3)], 0.09, 0.07) for x, (a, b, c) in bent]
        return layer.stencil([(band, 225) for band in bands])
    if kind in ("spots", "rosettes"):
        return layer.stencil(_spots(kind == "rosettes", draw))
    if kind == "ticked":
        return layer.stencil([(blob((0.1, -0.25), (0.9, 0.22)), 170)], soft=0.12)
    if kind == "bare":
        folds = [ribbon([(x - 0.1, -0.3), (x, 0.2), (x - 0.08, 0.7)], 0.035, 0.02) for x in _steps(12)]
        return layer.stencil([(fold, 190) for fold in folds])
    return None


def _steps(count: int) -> list[float]:
    return [float(x) for x in np.linspace(-1.1, 1.1, count)]


def _spots(rings: bool, draw: np.random.Generator) -> list[tuple[Points, int]]:
    """Small dots or larger rings on a shaken grid."""
    pitch, radius = (0.24, 0.095) if rings else (0.17, 0.05)
    shapes = []
    for row, y in enumerate(np.arange(-0.4, 1.3, pitch)):
        for x in np.arange(-1.0, 1.1, pitch):
            shift, tilt = draw.uniform(-0.3, 0.3, 2) * pitch, draw.uniform(0, 3)
            centre = (x + shift[0] + pitch / 2 * (row % 2), y + shift[1])
            shapes.append((blob(centre, (radius * 1.2, radius), tilt, corners=9), 235))
            if rings:
                shapes.append((blob(centre, (radius * 0.55, radius * 0.42), tilt, corners=7), 90))
    return shapes
