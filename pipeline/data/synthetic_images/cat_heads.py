"""Draw the head of a cat: ears, face, markings, muzzle and eyes, in units of the head's radius."""

import itertools

import numpy as np

from pipeline.data.synthetic_images.appearance import DARK, GRAY, PINK, WHITE, Cat
from pipeline.data.synthetic_images.canvas import HeadFrame, Points, blend, ellipse, ribbon


def draw_cat_head(head: HeadFrame, cat: Cat, rng: np.random.Generator) -> None:
    """Draw the whole head, seen from the front."""
    breed = cat.breed
    if breed.fluffiness > 0.3:
        ruff = ellipse((0, 0.35), (breed.head_width * 1.12, 0.85), fluff=0.22 * breed.fluffiness)
        head.polygon(ruff, WHITE if breed.white_markings == "blaze" else blend(cat.fur_color, WHITE, 0.25))
    for side in (-1, 1):
        _draw_ear(head, cat, side)
    face = ellipse((0, 0), (breed.head_width, 0.92), fluff=0.06 * breed.fluffiness, corners=40)
    face[:, 0] *= 1 - breed.chin * np.clip(face[:, 1], 0, None) ** 1.2  # from round (Persian) to a wedge (Siamese)
    head.polygon(face, cat.fur_color, cat.outline_color)
    _draw_face_markings(head, cat, face, rng)
    _draw_muzzle(head, cat)
    for side in (-1, 1):
        _draw_eye(head, cat, side)


def _draw_ear(head: HeadFrame, cat: Cat, side: int) -> None:
    breed = cat.breed
    height = 0.85 * breed.ear_size
    inner = np.array([0.16 * breed.head_width, -0.72])
    outer = np.array([0.92 * breed.head_width, -0.3])
    tip = np.array([0.58 * breed.head_width + breed.ear_spread * height, -0.55 - height * 0.9])
    blunt = 0.35 * breed.ear_roundness
    top = [tip + (inner - tip) * blunt, tip + (inner + outer - 2 * tip) * blunt * 0.3, tip + (outer - tip) * blunt]
    outline = np.array([inner, *top, outer]) * (side, 1)
    head.polygon(outline, cat.limb_color, cat.outline_color)
    middle = outline.mean(axis=0)
    head.polygon((outline - middle) * 0.58 + middle + (0, 0.05), blend(PINK, cat.limb_color, 0.45))
    if breed.has_ear_tufts:
        head.polygon(tip * (side, 1) + np.array([(-0.1, 0.22), (0.05 * side, -0.25), (0.1, 0.22)]), DARK)


def _draw_face_markings(head: HeadFrame, cat: Cat, face: Points, rng: np.random.Generator) -> None:
    kind = cat.breed.pattern
    color = cat.marking_color
    if kind == "points":
        head.paint_shapes(face, color, [ellipse((0, 0.22), (0.62, 0.72))], 255, blur=0.16)
    elif kind == "bare":
        folds = [ribbon([(-0.5, y), (0, y - 0.06), (0.5, y)], 0.05, 0.04) for y in (-0.74, -0.6, -0.46)]
        head.paint_shapes(face, color, folds, 220, blur=0)
    elif kind in ("tabby", "spots", "rosettes"):
        positions = itertools.product((-1, 1), (0.05, 0.27, 0.48))
        cheeks = [ribbon([(side * 1.1, y), (side * 0.62, y + 0.06)], 0.1, 0.04) for side, y in positions]
        head.paint_shapes(face, color, _forehead_markings(kind == "tabby", rng) + cheeks, 230, blur=0)
    elif kind == "ticked":
        head.paint_shapes(face, color, [ellipse((0, -0.75), (0.4, 0.3))], 190, blur=0.1)
    if cat.breed.white_markings == "blaze":
        head.polygon([(0, -0.55), (0.5, 0.75), (0, 0.9), (-0.5, 0.75)], WHITE)


def _forehead_markings(is_striped: bool, rng: np.random.Generator) -> list[Points]:
    if is_striped:
        return [ribbon([(x, -0.92), (x * 0.75, -0.42)], 0.11, 0.05) for x in (-0.42, -0.14, 0.14, 0.42)]
    return [ellipse((x, y), (0.09, 0.08), corners=9) for x, y in rng.uniform((-0.8, -0.85), (0.8, -0.35), (12, 2))]


def _draw_muzzle(head: HeadFrame, cat: Cat) -> None:
    breed = cat.breed
    pale = blend(cat.marking_color if breed.pattern == "points" else cat.fur_color, WHITE, 0.22)
    pale = blend(WHITE if breed.white_markings == "blaze" else pale, WHITE, 0.8 * cat.gray_share)
    nose = 0.3 - 0.24 * breed.flatness
    for side in (-1, 1):
        head.polygon(ellipse((side * 0.17, nose + 0.2), (0.22 + 0.06 * breed.flatness, 0.18)), pale)
    if cat.gray_share > 0:
        head.paint_shapes(None, GRAY, [ellipse((0, 0.4), (0.75, 0.55))], round(240 * cat.gray_share), blur=0.12)
    nose_color = blend(PINK, DARK, 0.55 if cat.is_dark else 0.15)
    head.polygon([(-0.12, nose), (0.12, nose), (0, nose + 0.13)], nose_color)
    mouth = [(-0.2, nose + 0.32), (-0.08, nose + 0.34), (0, nose + 0.22), (0.08, nose + 0.34), (0.2, nose + 0.32)]
    head.line(mouth, DARK, 0.03)
    if breed.pattern != "bare":
        for side in (-1, 1):
            for drop in (-0.08, 0.06):
                whisker = [(side * 0.3, nose + 0.18), (side * 1.15, nose + 0.14 + drop * 2)]
                head.line(whisker, cat.outline_color, 0.015)


def _draw_eye(head: HeadFrame, cat: Cat, side: int) -> None:
    """Draw an eye: large and round in a kitten, small and narrow in an old cat."""
    breed = cat.breed
    size = breed.eye_size * (0.95 + 0.45 * (1 - cat.maturity) - 0.5 * cat.age / 20)
    center = (side * 0.41 * breed.head_width, -0.04)
    tilt = -side * breed.eye_slant
    iris = blend(cat.eye_color, GRAY, 0.7 * cat.gray_share)
    head.polygon(ellipse(center, (0.27 * size, 0.25 * size), tilt), blend(cat.marking_color, DARK, 0.75))
    head.polygon(ellipse(center, (0.23 * size, 0.205 * size), tilt), iris)
    head.polygon(ellipse(center, (0.075 * size, 0.18 * size)), DARK)
    shine = (center[0] - 0.07, center[1] - 0.09 * size)
    head.polygon(ellipse(shine, (0.045 * size, 0.045 * size), corners=8), WHITE)
