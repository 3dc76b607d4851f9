"""Draw lions and iguanas."""

import numpy as np

from pipeline.data.synthetic_images.appearance import DARK, WHITE, Pose
from pipeline.data.synthetic_images.canvas import Color, DrawingLayer, HeadFrame, blend, ellipse, ribbon

MANE_COLORS = ((112, 66, 28), (78, 46, 26), (150, 92, 38))
GREEN_SKINS = ((96, 158, 62), (70, 132, 84), (138, 160, 70), (84, 150, 120))
PALE_GOLD = (226, 182, 112)
AMBER = (190, 130, 50)


def draw_lion(layer: DrawingLayer, pose: Pose, rng: np.random.Generator) -> None:
    """Draw a lion or its face, looking to the left, about two units high."""
    fur = blend(PALE_GOLD, AMBER, rng.uniform(0, 0.7))
    mane = blend(MANE_COLORS[rng.integers(len(MANE_COLORS))], fur, rng.uniform(0, 0.3))
    if pose == "face":
        layer.polygon(ellipse((0, 1.4), (0.9, 0.7)), fur)
        _draw_lion_head(HeadFrame(layer, 0, 0, 0.66), fur, mane)
    elif pose == "sitting":
        _draw_lion_sitting(layer, fur, mane, rng)
        _draw_lion_head(HeadFrame(layer, 0, -0.45, 0.36), fur, mane)
    else:
        _draw_lion_standing(layer, fur, mane, rng)
        _draw_lion_head(HeadFrame(layer, -0.62, -0.28, 0.34), fur, mane)


def _draw_lion_sitting(layer: DrawingLayer, fur: Color, mane: Color, rng: np.random.Generator) -> None:
    outline = blend(fur, DARK, 0.4)
    tip = rng.uniform(0.2, 0.5)
    layer.polygon(ribbon([(0.3, 0.85), (0.75, 0.88), (1.0, tip)], 0.09, 0.07), fur, outline)
    layer.polygon(ellipse((1.0, tip), (0.12, 0.16), fluff=0.3), mane)
    for side in (-1, 1):
        layer.polygon(ellipse((side * 0.36, 0.7), (0.26, 0.25)), fur, outline)
    layer.polygon(ellipse((0, 0.3), (0.46, 0.62)), fur, outline)
    for side in (-1, 1):
        layer.polygon(ribbon([(side * 0.17, 0.2), (side * 0.2, 0.9)], 0.22, 0.2), fur, outline)
        layer.polygon(ellipse((side * 0.21, 0.92), (0.17, 0.1)), fur, outline)


def _draw_lion_standing(layer: DrawingLayer, fur: Color, mane: Color, rng: np.random.Generator) -> None:
    outline = blend(fur, DARK, 0.4)
    tip = rng.uniform(0.3, 0.8)
    layer.polygon(ribbon([(0.75, -0.05), (1.05, 0.1), (1.12, tip)], 0.08, 0.06), fur, outline)
    layer.polygon(ellipse((1.12, tip), (0.1, 0.15), fluff=0.3), mane)
    for x in (-0.28, 0.46, -0.46, 0.66):
        step = rng.uniform(-0.08, 0.08)
        layer.polygon(ribbon([(x, 0.1), (x + step, 0.86)], 0.24, 0.17), fur, outline)
        layer.polygon(ellipse((x + step - 0.04, 0.88), (0.15, 0.08)), fur, outline)
    layer.polygon(ellipse((0.1, 0.02), (0.74, 0.34)), fur, outline)


def _draw_lion_head(head: HeadFrame, fur: Color, mane: Color) -> None:
    head.polygon(ellipse((0, 0.12), (1.5, 1.5), fluff=0.17, corners=44), mane)
    head.polygon(ellipse((0, 0.1), (1.2, 1.2), fluff=0.15, corners=36), blend(mane, fur, 0.35))
    for side in (-1, 1):
        head.polygon(ellipse((side * 0.72, -0.75), (0.28, 0.28)), fur, blend(fur, DARK, 0.5))
    head.polygon(ellipse((0, 0.02), (0.86, 0.96)), fur, blend(fur, DARK, 0.4))
    for side in (-1, 1):
        head.polygon(ellipse((side * 0.36, -0.16), (0.17, 0.13), side * -0.2), DARK)
        head.polygon(ellipse((side * 0.36, -0.16), (0.1, 0.09)), AMBER)
        head.polygon(ellipse((side * 0.36, -0.16), (0.05, 0.06), corners=8), DARK)
        head.polygon(ellipse((side * 0.22, 0.5), (0.28, 0.22)), blend(fur, WHITE, 0.6))
    head.polygon([(-0.2, -0.2), (0.2, -0.2), (0.26, 0.28), (-0.26, 0.28)], blend(fur, WHITE, 0.15))
    head.polygon([(-0.28, 0.24), (0.28, 0.24), (0.08, 0.46), (-0.08, 0.46)], blend(DARK, fur, 0.15))
    head.line([(-0.3, 0.66), (0, 0.58), (0, 0.44), (0, 0.58), (0.3, 0.66)], DARK, 0.05)
    head.polygon(ellipse((0, 0.84), (0.22, 0.14)), blend(fur, WHITE, 0.7))


def draw_iguana(layer: DrawingLayer, pose: Pose, rng: np.random.Generator) -> None:
    """Draw an iguana from the side or its head, looking to the left, a bit over two units long."""
    skin = GREEN_SKINS[rng.integers(len(GREEN_SKINS))]
    if pose == "face":
        for x in np.arange(0.1, 1.2, 0.16):
            y = -0.55 + 0.35 * (x - 0.1)
            layer.polygon([(x - 0.1, y + 0.1), (x + 0.12, y - 0.38), (x + 0.12, y + 0.15)], blend(skin, DARK, 0.45))
        layer.polygon(ribbon([(0.0, 0.0), (0.7, 0.35), (1.3, 1.3)], 1.0, 1.2), skin, blend(skin, DARK, 0.5))
        _draw_iguana_head(HeadFrame(layer, -0.2, -0.1, 0.85), skin)
        return
    lift = 0.2 if pose == "sitting" else 0.0
    _draw_iguana_body(layer, skin, lift, rng)
    _draw_iguana_head(HeadFrame(layer, -0.84, 0.02 - lift, 0.3), skin)


def _draw_iguana_body(layer: DrawingLayer, skin: Color, lift: float, rng: np.random.Generator) -> None:
    dark = blend(skin, DARK, 0.45)
    outline = blend(skin, DARK, 0.55)
    curl = rng.uniform(-0.35, 0.25)
    for x in np.arange(-0.6, 0.6, 0.11):
        y = -0.1 - lift * (0.4 - x) / 1.2
        layer.polygon([(x - 0.05, y), (x + 0.07, y - 0.24), (x + 0.08, y)], dark)
    tail = ribbon([(0.4, 0.12), (0.8, 0.2), (1.1, 0.25 + curl), (1.35, 0.1 + curl * 1.6)], 0.26, 0.02)
    layer.polygon(tail, skin, outline)
    bands = [ribbon([(x, -0.5), (x + 0.04, 1)], 0.07, 0.07) for x in np.arange(0.5, 1.5, 0.16)]
    layer.paint_pattern(tail, dark, layer.mask([(band, 200) for band in bands]))
    for x in (-0.4, 0.38):
        for reach in (-0.2, 0.12):
            leg = ribbon([(x, 0.15), (x + reach, 0.34), (x + reach - 0.08, 0.52)], 0.15, 0.08)
            layer.polygon(leg, blend(skin, DARK, 0.2), outline)
            for toe in (-0.14, -0.05, 0.05):
                ankle = x + reach - 0.08
                layer.line([(ankle, 0.5), (ankle + toe, 0.6)], outline, 0.035)
    body = ribbon([(-0.75, -lift), (-0.3, 0.06 - lift / 2), (0.1, 0.1), (0.5, 0.14)], 0.3, 0.26)
    belly = ellipse((-0.05, 0.1 - lift / 3), (0.52, 0.21), 0.05 + lift / 2)
    for part in (body, belly):
        layer.polygon(part, skin, outline)
    layer.polygon(ellipse((-0.05, 0.1 - lift / 3), (0.49, 0.18), 0.05 + lift / 2), skin)
    stripes = [ribbon([(x, -0.4), (x + 0.06, 0.5)], 0.06, 0.05) for x in np.arange(-0.5, 0.5, 0.18)]
    layer.paint_pattern(belly, dark, layer.mask([(stripe, 110) for stripe in stripes]))


def _draw_iguana_head(head: HeadFrame, skin: Color) -> None:
    outline = blend(skin, DARK, 0.55)
    head.polygon([(-0.3, 0.35), (0.5, 0.4), (0.25, 1.15), (-0.05, 0.95)], blend(skin, (220, 170, 80), 0.5), outline)
    skull = [(-1.15, 0.2), (-1.1, -0.05), (-0.6, -0.35), (-0.1, -0.55), (0.45, -0.5), (0.8, 0.0)]
    head.polygon([*skull, (0.6, 0.45), (-0.2, 0.5), (-0.95, 0.4)], skin, outline)
    head.line([(-1.1, 0.2), (-0.5, 0.2), (0.15, 0.3)], outline, 0.05)
    head.polygon(ellipse((0.35, 0.22), (0.2, 0.18)), blend(skin, WHITE, 0.35), outline)
    head.polygon(ellipse((-0.12, -0.2), (0.19, 0.16)), (226, 160, 50), outline)
    head.polygon(ellipse((-0.12, -0.2), (0.06, 0.12), corners=10), DARK)
    head.polygon(ellipse((-0.98, 0.02), (0.05, 0.04), corners=8), DARK)
