"""Draws the head of a cat: ears, face, marks, muzzle and eyes, in units of the head's radius."""

from __future__ import annotations

import numpy as np

from pipeline.data.synthetic_images.appearance import DARK, GREY, PINK, WHITE, Cat, Head
from pipeline.data.synthetic_images.breeds import Breed
from pipeline.data.synthetic_images.canvas import Layer, Points, blob, mix, ribbon


def draw_head(layer: Layer, cat: Cat, head: Head, draw: np.random.Generator) -> None:
    """The whole head, seen from the front."""
    breed = cat.breed
    if breed.fluff > 0.3:
        ruff = blob((0, 0.35), (breed.head_width * 1.12, 0.85), fluff=0.22 * breed.fluff)
        layer.fill(head.at(ruff), WHITE if breed.white == "blaze" else mix(cat.fur, WHITE, 0.25))
    for side in (-1, 1):
        _ear(layer, cat, head, side)
    face = _face(breed)
    layer.fill(head.at(face), cat.fur, cat.edge)
    _face_marks(layer, cat, head, head.at(face), draw)
    _muzzle(layer, cat, head)
    for side in (-1, 1):
        _eye(layer, cat, head, side)


def _face(breed: Breed) -> Points:
    """The outline of the head, from a round Persian to the wedge of a Siamese."""
    points = blob((0, 0), (breed.head_width, 0.92), fluff=0.06 * breed.fluff, corners=40)
    below = np.clip(points[:, 1], 0, None)
    points[:, 0] *= 1 - breed.chin * below**1.2
    return points


def _ear(layer: Layer, cat: Cat, head: Head, side: int) -> None:
    breed = cat.breed
    height, base = 0.85 * breed.ear, 0.58 * breed.head_width
    inner, outer = np.array([0.16 * breed.head_width, -0.72]), np.array([0.92 * breed.head_width, -0.3])
    tip = np.array([base + breed.ear_out * height, -0.55 - height * 0.9])
    blunt = 0.35 * breed.ear_round
    top = [tip + (inner - tip) * blunt, tip + (inner + outer - 2 * tip) * blunt * 0.3, tip + (outer - tip) * blunt]
    turned = np.array([inner, *top, outer]) * (side, 1)
    layer.fill(head.at(turned), cat.limb, cat.edge)
    middle = turned.mean(axis=0)
    inside = (turned - middle) * 0.58 + middle + (0, 0.05)
    layer.fill(head.at(inside), mix(PINK, cat.limb, 0.45))
    if breed.tufts:
        tuft = np.array([(-0.1, 0.22), (0.05 * side, -0.25), (0.1, 0.22)])
        layer.fill(head.at(tip * (side, 1) + tuft), DARK)


def _face_marks(layer: Layer, cat: Cat, head: Head, face: Points, draw: np.random.Generator) -> None:
    kind = cat.breed.pattern
    if kind == "points":
        mask = layer.stencil([(head.at(blob((0, 0.22), (0.62, 0.72))), 255)], soft=0.16 * head.radius)
        layer.paint(face, cat.marks, mask)
    elif kind == "bare":
        folds = [ribbon([(-0.5, y), (0, y - 0.06), (0.5, y)], 0.05, 0.04) for y in (-0.74, -0.6, -0.46)]
        layer.paint(face, cat.marks, layer.stencil([(head.at(fold), 220) for fold in folds]))
    elif kind in ("tabby", "spots", "rosettes"):
        marks = _forehead(kind == "tabby", draw) + [
            ribbon([(side * 1.1, y), (side * 0.62, y + 0.06)], 0.1, 0.04)
            for side in (-1, 1)
            for y in (0.05, 0.27, 0.48)
        ]
        layer.paint(face, cat.marks, layer.stencil([(head.at(mark), 230) for mark in marks]))
    elif kind == "ticked":
        brow = layer.stencil([(head.at(blob((0, -0.75), (0.4, 0.3))), 190)], soft=0.1 * head.radius)
        layer.paint(face, cat.marks, brow)
    if cat.breed.white == "blaze":
        layer.fill(head.at([(0, -0.55), (0.5, 0.75), (0, 0.9), (-0.5, 0.75)]), WHITE)


def _forehead(stripes: bool, draw: np.random.Generator) -> list[Points]:
    if stripes:
        return [ribbon([(x, -0.92), (x * 0.75, -0.42)], 0.11, 0.05) for x in (-0.42, -0.14, 0.14, 0.42)]
    return [blob((x, y), (0.09, 0.08), corners=9) for x, y in draw.uniform((-0.8, -0.85), (0.8, -0.35), (12, 2))]


def _muzzle(layer: Layer, cat: Cat, head: Head) -> None:
    breed = cat.breed
    pale = WHITE if breed.white == "blaze" else mix(cat.marks if breed.pattern == "points" else cat.fur, WHITE, 0.22)
    pale = mix(pale, WHITE, 0.8 * cat.greyed)
    nose = 0.3 - 0.24 * breed.flat
    for side in (-1, 1):
        layer.fill(head.at(blob((side * 0.17, nose + 0.2), (0.22 + 0.06 * breed.flat, 0.18))), pale)
    if cat.greyed > 0:
        chin = head.at(blob((0, 0.4), (0.75, 0.55)))
        aged = layer.stencil([(chin, round(240 * cat.greyed))], soft=0.12 * head.radius)
        layer.paint(None, GREY, aged)
    layer.fill(head.at([(-0.12, nose), (0.12, nose), (0, nose + 0.13)]), mix(PINK, DARK, 0.55 if cat.dark else 0.15))
    mouth = [(-0.2, nose + 0.32), (-0.08, nose + 0.34), (0, nose + 0.22), (0.08, nose + 0.34), (0.2, nose + 0.32)]
    layer.line(head.at(mouth), DARK, 0.03 * head.radius)
    if breed.pattern != "bare":
        for side in (-1, 1):
            for drop in (-0.08, 0.06):
                hair = head.at([(side * 0.3, nose + 0.18), (side * 1.15, nose + 0.14 + drop * 2)])
                layer.line(hair, cat.edge, 0.015 * head.radius)


def _eye(layer: Layer, cat: Cat, head: Head, side: int) -> None:
    """Big and round in a kitten, small and narrow in an old cat."""
    breed = cat.breed
    size = breed.eye * (0.95 + 0.45 * (1 - cat.grown) - 0.5 * cat.age / 20)
    centre, tilt = (side * 0.41 * breed.head_width, -0.04), -side * breed.slant
    layer.fill(head.at(blob(centre, (0.27 * size, 0.25 * size), tilt)), mix(cat.marks, DARK, 0.75))
    layer.fill(head.at(blob(centre, (0.23 * size, 0.205 * size), tilt)), mix(cat.eyes, GREY, 0.7 * cat.greyed))
    layer.fill(head.at(blob(centre, (0.075 * size, 0.18 * size))), DARK)
    shine = (centre[0] - 0.07, centre[1] - 0.09 * size)
    layer.fill(head.at(blob(shine, (0.045 * size, 0.045 * size), corners=8)), WHITE)
