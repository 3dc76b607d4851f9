"""Draws one cat: its breed gives shape and coat, its age the eyes, the size of the head and the grey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from pipeline.data.drawn.breeds import Breed, Coat
from pipeline.data.drawn.canvas import Colour, Layer, Points, blob, mix, ribbon

Pose = Literal["face", "sitting", "standing"]
WHITE, GREY, PINK, DARK = (246, 243, 238), (206, 204, 202), (226, 150, 150), (22, 18, 20)


@dataclass(frozen=True)
class Cat:
    """One cat; age in years."""

    breed: Breed
    coat: Coat
    eyes: Colour
    age: float

    @property
    def grown(self) -> float:
        """0 for a new-born, 1 for an adult; most of it happens in the first two or three years."""
        return float(1 - np.exp(-self.age / 2.5))

    @property
    def greyed(self) -> float:
        """The share of the fur that is grey."""
        return min(max((self.age - 6) / 14, 0.0), 1.0)

    @property
    def fur(self) -> Colour:
        """The fur of the body at this age."""
        return mix(self.coat.fur, GREY, 0.45 * self.greyed)

    @property
    def marks(self) -> Colour:
        """The points, stripes or spots at this age; kittens have paler ones."""
        return mix(mix(self.coat.marks, GREY, 0.5 * self.greyed), self.coat.fur, 0.35 * (1 - self.grown))

    @property
    def limb(self) -> Colour:
        """Legs, ears and tail; of a cat with points they are dark."""
        return self.marks if self.breed.pattern == "points" else self.fur

    @property
    def edge(self) -> Colour:
        """The line around a part: on dark fur a lighter one, or it could not be seen."""
        return mix(self.fur, WHITE, 0.3) if self.dark else mix(self.fur, DARK, 0.45)

    @property
    def dark(self) -> bool:
        """Whether the fur is rather dark than light."""
        return sum(self.coat.fur) < 380


@dataclass(frozen=True)
class Head:
    """Where the head is: everything on it is drawn in units of its radius."""

    x: float
    y: float
    radius: float

    def at(self, points: Points | list[tuple[float, float]]) -> Points:
        """Points of the head as points of the animal."""
        return np.asarray(points, dtype=np.float64) * self.radius + (self.x, self.y)


def draw_cat(layer: Layer, cat: Cat, pose: Pose, draw: np.random.Generator) -> None:
    """A whole cat, or the face alone; it looks to the left, about two units high."""
    young = 1 + 0.3 * (1 - cat.grown)
    if pose == "face":
        _chest(layer, cat, draw)
        _head(layer, cat, Head(0, 0, 0.8), draw)
    elif pose == "sitting":
        _sitting(layer, cat, draw)
        _head(layer, cat, Head(0, -0.5, 0.4 * young), draw)
    else:
        _standing(layer, cat, draw)
        _head(layer, cat, Head(-0.62, -0.34, 0.37 * young), draw)


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


def _head(layer: Layer, cat: Cat, head: Head, draw: np.random.Generator) -> None:
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
        chin = head.at(blob((0, 0.45), (0.6, 0.45)))
        aged = layer.stencil([(chin, round(200 * cat.greyed))], soft=0.12 * head.radius)
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
    size = breed.eye * (0.86 + 0.5 * (1 - cat.grown) - 0.26 * cat.age / 20)
    centre, tilt = (side * 0.41 * breed.head_width, -0.04), -side * breed.slant
    layer.fill(head.at(blob(centre, (0.27 * size, 0.25 * size), tilt)), mix(cat.marks, DARK, 0.75))
    layer.fill(head.at(blob(centre, (0.23 * size, 0.205 * size), tilt)), mix(cat.eyes, GREY, 0.4 * cat.greyed))
    layer.fill(head.at(blob(centre, (0.075 * size, 0.18 * size))), DARK)
    shine = (centre[0] - 0.07, centre[1] - 0.09 * size)
    layer.fill(head.at(blob(shine, (0.045 * size, 0.045 * size), corners=8)), WHITE)
