"""Draw the head of a cat: ears, face, markings, muzzle and eyes, in units of the head's radius."""

from __future__ import annotations

import numpy as np

from pipeline.data.synthetic_images.appearance import DARK, GRAY, PINK, WHITE, Cat, HeadFrame
from pipeline.data.synthetic_images.breeds import Breed
from pipeline.data.synthetic_images.canvas import DrawingLayer, Points, make_ellipse, make_ribbon, mix_colors


def draw_cat_head(layer: DrawingLayer, cat: Cat, head: HeadFrame, rng: np.random.Generator) -> None:
    """Draw the whole head, seen from the front."""
    breed = cat.breed
    if breed.fluffiness > 0.3:
        ruff = make_ellipse((0, 0.35), (breed.head_width * 1.12, 0.85), fluff=0.22 * breed.fluffiness)
        layer.fill_polygon(
            head.to_animal(ruff), WHITE if breed.white_markings == "blaze" else mix_colors(cat.fur_color, WHITE, 0.25)
        )
    for side in (-1, 1):
        _draw_ear(layer, cat, head, side)
    face = _face_outline(breed)
    layer.fill_polygon(head.to_animal(face), cat.fur_color, cat.outline_color)
    _draw_face_markings(layer, cat, head, head.to_animal(face), rng)
    _draw_muzzle(layer, cat, head)
    for side in (-1, 1):
        _draw_eye(layer, cat, head, side)


def _face_outline(breed: Breed) -> Points:
    """Return the outline of the head, from round (Persian) to wedge-shaped (Siamese)."""
    points = make_ellipse((0, 0), (breed.head_width, 0.92), fluff=0.06 * breed.fluffiness, corners=40)
    below = np.clip(points[:, 1], 0, None)
    points[:, 0] *= 1 - breed.chin * below**1.2
    return points


def _draw_ear(layer: DrawingLayer, cat: Cat, head: HeadFrame, side: int) -> None:
    breed = cat.breed
    height = 0.85 * breed.ear_size
    base = 0.58 * breed.head_width
    inner = np.array([0.16 * breed.head_width, -0.72])
    outer = np.array([0.92 * breed.head_width, -0.3])
    tip = np.array([base + breed.ear_spread * height, -0.55 - height * 0.9])
    blunt = 0.35 * breed.ear_roundness
    top = [tip + (inner - tip) * blunt, tip + (inner + outer - 2 * tip) * blunt * 0.3, tip + (outer - tip) * blunt]
    outline = np.array([inner, *top, outer]) * (side, 1)
    layer.fill_polygon(head.to_animal(outline), cat.limb_color, cat.outline_color)
    middle = outline.mean(axis=0)
    inside = (outline - middle) * 0.58 + middle + (0, 0.05)
    layer.fill_polygon(head.to_animal(inside), mix_colors(PINK, cat.limb_color, 0.45))
    if breed.has_ear_tufts:
        tuft = np.array([(-0.1, 0.22), (0.05 * side, -0.25), (0.1, 0.22)])
        layer.fill_polygon(head.to_animal(tip * (side, 1) + tuft), DARK)


def _draw_face_markings(layer: DrawingLayer, cat: Cat, head: HeadFrame, face: Points, rng: np.random.Generator) -> None:
    kind = cat.breed.pattern
    if kind == "points":
        mask = layer.make_mask([(head.to_animal(make_ellipse((0, 0.22), (0.62, 0.72))), 255)], blur=0.16 * head.radius)
        layer.paint_pattern(face, cat.marking_color, mask)
    elif kind == "bare":
        folds = [make_ribbon([(-0.5, y), (0, y - 0.06), (0.5, y)], 0.05, 0.04) for y in (-0.74, -0.6, -0.46)]
        layer.paint_pattern(face, cat.marking_color, layer.make_mask([(head.to_animal(fold), 220) for fold in folds]))
    elif kind in ("tabby", "spots", "rosettes"):
        marks = _forehead_markings(kind == "tabby", rng) + [
            make_ribbon([(side * 1.1, y), (side * 0.62, y + 0.06)], 0.1, 0.04)
            for side in (-1, 1)
            for y in (0.05, 0.27, 0.48)
        ]
        layer.paint_pattern(face, cat.marking_color, layer.make_mask([(head.to_animal(mark), 230) for mark in marks]))
    elif kind == "ticked":
        brow = layer.make_mask([(head.to_animal(make_ellipse((0, -0.75), (0.4, 0.3))), 190)], blur=0.1 * head.radius)
        layer.paint_pattern(face, cat.marking_color, brow)
    if cat.breed.white_markings == "blaze":
        layer.fill_polygon(head.to_animal([(0, -0.55), (0.5, 0.75), (0, 0.9), (-0.5, 0.75)]), WHITE)


def _forehead_markings(is_striped: bool, rng: np.random.Generator) -> list[Points]:
    if is_striped:
        return [make_ribbon([(x, -0.92), (x * 0.75, -0.42)], 0.11, 0.05) for x in (-0.42, -0.14, 0.14, 0.42)]
    return [make_ellipse((x, y), (0.09, 0.08), corners=9) for x, y in rng.uniform((-0.8, -0.85), (0.8, -0.35), (12, 2))]


def _draw_muzzle(layer: DrawingLayer, cat: Cat, head: HeadFrame) -> None:
    breed = cat.breed
    pale = (
        WHITE
        if breed.white_markings == "blaze"
        else mix_colors(cat.marking_color if breed.pattern == "points" else cat.fur_color, WHITE, 0.22)
    )
    pale = mix_colors(pale, WHITE, 0.8 * cat.gray_share)
    nose = 0.3 - 0.24 * breed.flatness
    for side in (-1, 1):
        layer.fill_polygon(
            head.to_animal(make_ellipse((side * 0.17, nose + 0.2), (0.22 + 0.06 * breed.flatness, 0.18))), pale
        )
    if cat.gray_share > 0:
        chin = head.to_animal(make_ellipse((0, 0.4), (0.75, 0.55)))
        aged = layer.make_mask([(chin, round(240 * cat.gray_share))], blur=0.12 * head.radius)
        layer.paint_pattern(None, GRAY, aged)
    layer.fill_polygon(
        head.to_animal([(-0.12, nose), (0.12, nose), (0, nose + 0.13)]),
        mix_colors(PINK, DARK, 0.55 if cat.is_dark else 0.15),
    )
    mouth = [(-0.2, nose + 0.32), (-0.08, nose + 0.34), (0, nose + 0.22), (0.08, nose + 0.34), (0.2, nose + 0.32)]
    layer.draw_line(head.to_animal(mouth), DARK, 0.03 * head.radius)
    if breed.pattern != "bare":
        for side in (-1, 1):
            for drop in (-0.08, 0.06):
                hair = head.to_animal([(side * 0.3, nose + 0.18), (side * 1.15, nose + 0.14 + drop * 2)])
                layer.draw_line(hair, cat.outline_color, 0.015 * head.radius)


def _draw_eye(layer: DrawingLayer, cat: Cat, head: HeadFrame, side: int) -> None:
    """Draw an eye: large and round in a kitten, small and narrow in an old cat."""
    breed = cat.breed
    size = breed.eye_size * (0.95 + 0.45 * (1 - cat.maturity) - 0.5 * cat.age / 20)
    center = (side * 0.41 * breed.head_width, -0.04)
    tilt = -side * breed.eye_slant
    layer.fill_polygon(
        head.to_animal(make_ellipse(center, (0.27 * size, 0.25 * size), tilt)),
        mix_colors(cat.marking_color, DARK, 0.75),
    )
    layer.fill_polygon(
        head.to_animal(make_ellipse(center, (0.23 * size, 0.205 * size), tilt)),
        mix_colors(cat.eye_color, GRAY, 0.7 * cat.gray_share),
    )
    layer.fill_polygon(head.to_animal(make_ellipse(center, (0.075 * size, 0.18 * size))), DARK)
    shine = (center[0] - 0.07, center[1] - 0.09 * size)
    layer.fill_polygon(head.to_animal(make_ellipse(shine, (0.045 * size, 0.045 * size), corners=8)), WHITE)
