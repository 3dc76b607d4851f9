"""Draws the animals that are no cats: lions with a mane, and iguanas with spikes and a long tail."""

from __future__ import annotations

import numpy as np

from pipeline.data.synthetic_images.appearance import DARK, WHITE, Head, Pose
from pipeline.data.synthetic_images.canvas import Colour, Layer, blob, mix, ribbon

MANES = ((112, 66, 28), (78, 46, 26), (150, 92, 38))
GREENS = ((96, 158, 62), (70, 132, 84), (138, 160, 70), (84, 150, 120))
PALE_GOLD, AMBER = (226, 182, 112), (190, 130, 50)


def draw_lion(layer: Layer, pose: Pose, draw: np.random.Generator) -> None:
    """A lion, or its face alone; it looks to the left, about two units high."""
    fur = mix(PALE_GOLD, AMBER, draw.uniform(0, 0.7))
    mane = mix(MANES[draw.integers(len(MANES))], fur, draw.uniform(0, 0.3))
    if pose == "face":
        layer.fill(blob((0, 1.4), (0.9, 0.7)), fur)
        _lion_head(layer, Head(0, 0, 0.66), fur, mane)
    elif pose == "sitting":
        _lion_sitting(layer, fur, mane, draw)
        _lion_head(layer, Head(0, -0.45, 0.36), fur, mane)
    else:
        _lion_standing(layer, fur, mane, draw)
        _lion_head(layer, Head(-0.62, -0.28, 0.34), fur, mane)


def _lion_sitting(layer: Layer, fur: Colour, mane: Colour, draw: np.random.Generator) -> None:
    edge, tip = mix(fur, DARK, 0.4), draw.uniform(0.2, 0.5)
    layer.fill(ribbon([(0.3, 0.85), (0.75, 0.88), (1.0, tip)], 0.09, 0.07), fur, edge)
    layer.fill(blob((1.0, tip), (0.12, 0.16), fluff=0.3), mane)
    for side in (-1, 1):
        layer.fill(blob((side * 0.36, 0.7), (0.26, 0.25)), fur, edge)
    layer.fill(blob((0, 0.3), (0.46, 0.62)), fur, edge)
    for side in (-1, 1):
        layer.fill(ribbon([(side * 0.17, 0.2), (side * 0.2, 0.9)], 0.22, 0.2), fur, edge)
        layer.fill(blob((side * 0.21, 0.92), (0.17, 0.1)), fur, edge)


def _lion_standing(layer: Layer, fur: Colour, mane: Colour, draw: np.random.Generator) -> None:
    edge, tip = mix(fur, DARK, 0.4), draw.uniform(0.3, 0.8)
    layer.fill(ribbon([(0.75, -0.05), (1.05, 0.1), (1.12, tip)], 0.08, 0.06), fur, edge)
    layer.fill(blob((1.12, tip), (0.1, 0.15), fluff=0.3), mane)
    for x in (-0.28, 0.46, -0.46, 0.66):
        step = draw.uniform(-0.08, 0.08)
        layer.fill(ribbon([(x, 0.1), (x + step, 0.86)], 0.24, 0.17), fur, edge)
        layer.fill(blob((x + step - 0.04, 0.88), (0.15, 0.08)), fur, edge)
    layer.fill(blob((0.1, 0.02), (0.74, 0.34)), fur, edge)


def _lion_head(layer: Layer, head: Head, fur: Colour, mane: Colour) -> None:
    layer.fill(head.at(blob((0, 0.12), (1.5, 1.5), fluff=0.17, corners=44)), mane)
    layer.fill(head.at(blob((0, 0.1), (1.2, 1.2), fluff=0.15, corners=36)), mix(mane, fur, 0.35))
    for side in (-1, 1):
        layer.fill(head.at(blob((side * 0.72, -0.75), (0.28, 0.28))), fur, mix(fur, DARK, 0.5))
    layer.fill(head.at(blob((0, 0.02), (0.86, 0.96))), fur, mix(fur, DARK, 0.4))
    for side in (-1, 1):
        layer.fill(head.at(blob((side * 0.36, -0.16), (0.17, 0.13), side * -0.2)), DARK)
        layer.fill(head.at(blob((side * 0.36, -0.16), (0.1, 0.09))), AMBER)
        layer.fill(head.at(blob((side * 0.36, -0.16), (0.05, 0.06), corners=8)), DARK)
        layer.fill(head.at(blob((side * 0.22, 0.5), (0.28, 0.22))), mix(fur, WHITE, 0.6))
    layer.fill(head.at([(-0.2, -0.2), (0.2, -0.2), (0.26, 0.28), (-0.26, 0.28)]), mix(fur, WHITE, 0.15))
    layer.fill(head.at([(-0.28, 0.24), (0.28, 0.24), (0.08, 0.46), (-0.08, 0.46)]), mix(DARK, fur, 0.15))
    layer.line(head.at([(-0.3, 0.66), (0, 0.58), (0, 0.44), (0, 0.58), (0.3, 0.66)]), DARK, 0.05 * head.radius)
    layer.fill(head.at(blob((0, 0.84), (0.22, 0.14))), mix(fur, WHITE, 0.7))


def draw_iguana(layer: Layer, pose: Pose, draw: np.random.Generator) -> None:
    """An iguana from the side, or its head alone; it looks to the left, a bit over two units long."""
    skin = GREENS[draw.integers(len(GREENS))]
    if pose == "face":
        _iguana_neck(layer, skin)
        _iguana_head(layer, Head(-0.2, -0.1, 0.85), skin)
        return
    lift = 0.2 if pose == "sitting" else 0.0
    _iguana_body(layer, skin, lift, draw)
    _iguana_head(layer, Head(-0.84, 0.02 - lift, 0.3), skin)


def _iguana_neck(layer: Layer, skin: Colour) -> None:
    for x in np.arange(0.1, 1.2, 0.16):
        y = -0.55 + 0.35 * (x - 0.1)
        layer.fill(np.array([(x - 0.1, y + 0.1), (x + 0.12, y - 0.38), (x + 0.12, y + 0.15)]), mix(skin, DARK, 0.45))
    layer.fill(ribbon([(0.0, 0.0), (0.7, 0.35), (1.3, 1.3)], 1.0, 1.2), skin, mix(skin, DARK, 0.5))


def _iguana_body(layer: Layer, skin: Colour, lift: float, draw: np.random.Generator) -> None:
    dark, edge = mix(skin, DARK, 0.45), mix(skin, DARK, 0.55)
    curl = draw.uniform(-0.35, 0.25)
    for x in np.arange(-0.6, 0.6, 0.11):
        y = -0.1 - lift * (0.4 - x) / 1.2
        layer.fill(np.array([(x - 0.05, y), (x + 0.07, y - 0.24), (x + 0.08, y)]), dark)
    tail = ribbon([(0.4, 0.12), (0.8, 0.2), (1.1, 0.25 + curl), (1.35, 0.1 + curl * 1.6)], 0.26, 0.02)
    layer.fill(tail, skin, edge)
    bands = layer.stencil([(ribbon([(x, -0.5), (x + 0.04, 1)], 0.07, 0.07), 200) for x in np.arange(0.5, 1.5, 0.16)])
    layer.paint(tail, dark, bands)
    for x in (-0.4, 0.38):
        for reach in (-0.2, 0.12):
            leg = ribbon([(x, 0.15), (x + reach, 0.34), (x + reach - 0.08, 0.52)], 0.15, 0.08)
            layer.fill(leg, mix(skin, DARK, 0.2), edge)
            for toe in (-0.14, -0.05, 0.05):
                foot = (x + reach - 0.08, 0.5)
                layer.line(np.array([foot, (foot[0] + toe, 0.6)]), edge, 0.035)
    body = ribbon([(-0.75, -lift), (-0.3, 0.06 - lift / 2), (0.1, 0.1), (0.5, 0.14)], 0.3, 0.26)
    belly = blob((-0.05, 0.1 - lift / 3), (0.52, 0.21), 0.05 + lift / 2)
    for part in (body, belly):
        layer.fill(part, skin, edge)
    layer.fill(blob((-0.05, 0.1 - lift / 3), (0.49, 0.18), 0.05 + lift / 2), skin)
    stripes = [ribbon([(x, -0.4), (x + 0.06, 0.5)], 0.06, 0.05) for x in np.arange(-0.5, 0.5, 0.18)]
    layer.paint(belly, dark, layer.stencil([(stripe, 110) for stripe in stripes]))


def _iguana_head(layer: Layer, head: Head, skin: Colour) -> None:
    pale, edge = mix(skin, WHITE, 0.35), mix(skin, DARK, 0.55)
    layer.fill(head.at([(-0.3, 0.35), (0.5, 0.4), (0.25, 1.15), (-0.05, 0.95)]), mix(skin, (220, 170, 80), 0.5), edge)
    crown = [(-1.15, 0.2), (-1.1, -0.05), (-0.6, -0.35), (-0.1, -0.55), (0.45, -0.5), (0.8, 0.0)]
    layer.fill(head.at([*crown, (0.6, 0.45), (-0.2, 0.5), (-0.95, 0.4)]), skin, edge)
    layer.line(head.at([(-1.1, 0.2), (-0.5, 0.2), (0.15, 0.3)]), edge, 0.05 * head.radius)
    layer.fill(head.at(blob((0.35, 0.22), (0.2, 0.18))), pale, edge)
    layer.fill(head.at(blob((-0.12, -0.2), (0.19, 0.16))), (226, 160, 50), edge)
    layer.fill(head.at(blob((-0.12, -0.2), (0.06, 0.12), corners=10)), DARK)
    layer.fill(head.at(blob((-0.98, 0.02), (0.05, 0.04), corners=8)), DARK)
