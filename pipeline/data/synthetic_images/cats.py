"""Draw a cat: its breed sets shape and coat, its age the eyes, the size of the head and the gray."""

import numpy as np
from PIL import Image

from pipeline.data.synthetic_images.appearance import WHITE, Cat, Pose
from pipeline.data.synthetic_images.canvas import Color, DrawingLayer, HeadFrame, Points, ellipse, ribbon
from pipeline.data.synthetic_images.cat_heads import draw_cat_head


def draw_cat(layer: DrawingLayer, cat: Cat, pose: Pose, rng: np.random.Generator) -> None:
    """Draw a whole cat or its face, looking to the left, about two units high."""
    head_scale = 1 + 0.3 * (1 - cat.maturity)
    if pose == "face":
        _draw_chest(layer, cat, rng)
        draw_cat_head(HeadFrame(layer, 0, 0, 0.65 + 0.17 * cat.maturity), cat, rng)
    elif pose == "sitting":
        _draw_sitting(layer, cat, rng)
        draw_cat_head(HeadFrame(layer, 0, -0.5, 0.4 * head_scale), cat, rng)
    else:
        _draw_standing(layer, cat, rng)
        draw_cat_head(HeadFrame(layer, -0.62, -0.34, 0.37 * head_scale), cat, rng)


def _draw_part(layer: DrawingLayer, points: Points, color: Color, cat: Cat, pattern: Image.Image | None = None) -> None:
    layer.polygon(points, color, cat.outline_color)
    if pattern is not None:
        layer.paint_pattern(points, cat.marking_color, pattern)


def _draw_chest(layer: DrawingLayer, cat: Cat, rng: np.random.Generator) -> None:
    width = 1.0 - 0.35 * cat.breed.slimness + 0.2 * cat.breed.fluffiness
    chest = ellipse((0, 1.35), (width, 0.85), fluff=0.1 * cat.breed.fluffiness)
    _draw_part(layer, chest, cat.fur_color, cat, _make_pattern(layer, cat, rng))
    if cat.breed.white_markings == "blaze":
        layer.polygon(ellipse((0, 1.2), (0.45, 0.7), fluff=0.15), WHITE)


def _draw_sitting(layer: DrawingLayer, cat: Cat, rng: np.random.Generator) -> None:
    breed = cat.breed
    pattern = _make_pattern(layer, cat, rng)
    wide = 1.15 - 0.4 * breed.slimness + 0.15 * breed.fluffiness
    leg = 0.2 - 0.07 * breed.slimness
    swing = rng.uniform(-0.12, 0.12)
    curve = [(0.3, 0.82), (0.75, 0.86), (0.92 + swing, 0.5), (0.8 + swing, 0.16)]
    tail = ribbon(curve, 0.15 * breed.tail_thickness, 0.12 * breed.tail_thickness)
    _draw_part(layer, tail, cat.limb_color, cat, None if breed.pattern in ("rosettes", "spots") else pattern)
    for side in (-1, 1):
        _draw_part(layer, ellipse((side * 0.3 * wide, 0.68), (0.24, 0.25)), cat.fur_color, cat, pattern)
    body = ellipse((0, 0.3), (0.4 * wide, 0.62), fluff=0.12 * breed.fluffiness)
    _draw_part(layer, body, cat.fur_color, cat, pattern)
    if breed.white_markings == "blaze":
        layer.polygon(ellipse((0, 0.2), (0.2, 0.45), fluff=0.15), WHITE)
    for side in (-1, 1):
        shin = ribbon([(side * 0.13 * wide, 0.25), (side * 0.14 * wide, 0.6), (side * 0.16 * wide, 0.9)], leg, leg)
        _draw_leg(layer, cat, shin, ellipse((side * 0.17 * wide, 0.92), (leg * 0.72, leg * 0.45)), pattern)


def _draw_standing(layer: DrawingLayer, cat: Cat, rng: np.random.Generator) -> None:
    breed = cat.breed
    pattern = _make_pattern(layer, cat, rng)
    thick = 0.36 - 0.12 * breed.slimness + 0.05 * breed.fluffiness
    leg = 0.19 - 0.08 * breed.slimness
    swing = rng.uniform(-0.25, 0.15)
    curve = [(0.7, 0.0), (0.95, -0.15), (1.05, -0.5), (1.1 + swing, -0.85)]
    tail = ribbon(curve, 0.15 * breed.tail_thickness, 0.13 * breed.tail_thickness, 0.2 * breed.fluffiness)
    _draw_part(layer, tail, cat.limb_color, cat, None if breed.pattern in ("rosettes", "spots") else pattern)
    for x in (-0.26, 0.46, -0.44, 0.66):
        step = rng.uniform(-0.08, 0.08)
        shin = ribbon([(x, 0.12), (x + step / 2, 0.5), (x + step, 0.86)], leg * 1.25, leg)
        _draw_leg(layer, cat, shin, ellipse((x + step - 0.04, 0.88), (leg * 0.72, leg * 0.45)), pattern)
    body = ellipse((0.12, 0.05), (0.72, thick), fluff=0.14 * breed.fluffiness)
    _draw_part(layer, body, cat.fur_color, cat, pattern)
    if breed.white_markings == "blaze":
        layer.polygon(ellipse((-0.36, 0.12), (0.2, 0.26), fluff=0.15), WHITE)


def _draw_leg(layer: DrawingLayer, cat: Cat, shin: Points, foot: Points, pattern: Image.Image | None) -> None:
    white = cat.breed.white_markings
    color = WHITE if white == "blaze" else cat.limb_color
    _draw_part(layer, shin, color, cat, None if cat.breed.pattern == "points" else pattern)
    _draw_part(layer, foot, WHITE if white != "none" else color, cat)


def _make_pattern(layer: DrawingLayer, cat: Cat, rng: np.random.Generator) -> Image.Image | None:
    """Return the mask of the body's markings, or None if the coat has none."""
    kind = cat.breed.pattern
    if kind == "tabby":
        bends = zip(np.linspace(-1.1, 1.1, 14), rng.uniform(-0.08, 0.08, (14, 3)), strict=True)
        bands = [ribbon([(x + a, -0.6), (x + b, 0.3), (x + c, 1.3)], 0.09, 0.07) for x, (a, b, c) in bends]
        return layer.mask([(band, 225) for band in bands])
    if kind in ("spots", "rosettes"):
        return layer.mask(_make_spots(kind == "rosettes", rng))
    if kind == "ticked":
        return layer.mask([(ellipse((0.1, -0.25), (0.9, 0.22)), 170)], blur=0.12)
    if kind == "bare":
        columns = np.linspace(-1.1, 1.1, 12)
        folds = [ribbon([(x - 0.1, -0.3), (x, 0.2), (x - 0.08, 0.7)], 0.035, 0.02) for x in columns]
        return layer.mask([(fold, 190) for fold in folds])
    return None


def _make_spots(has_rings: bool, rng: np.random.Generator) -> list[tuple[Points, int]]:
    """Return small dots or larger rings on a jittered grid."""
    pitch, radius = (0.24, 0.095) if has_rings else (0.17, 0.05)
    shapes = []
    for row, y in enumerate(np.arange(-0.4, 1.3, pitch)):
        for x in np.arange(-1.0, 1.1, pitch):
            shift = rng.uniform(-0.3, 0.3, 2) * pitch
            tilt = rng.uniform(0, 3)
            center = (x + shift[0] + pitch / 2 * (row % 2), y + shift[1])
            shapes.append((ellipse(center, (radius * 1.2, radius), tilt, corners=9), 235))
            if has_rings:
                shapes.append((ellipse(center, (radius * 0.55, radius * 0.42), tilt, corners=7), 90))
    return shapes
