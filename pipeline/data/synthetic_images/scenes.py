"""Draws one whole picture: a room, a garden or a studio, the animals in it, what stands in front, and the light."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter

from pipeline.data.synthetic_images.animals import draw_iguana, draw_lion
from pipeline.data.synthetic_images.appearance import DARK, WHITE, Cat, Pose
from pipeline.data.synthetic_images.breeds import BREEDS
from pipeline.data.synthetic_images.canvas import Colour, Layer, blob, mix
from pipeline.data.synthetic_images.cats import draw_cat

BACKDROP = (0.45, 0.8)  # the share of white or black in what is behind a cat
BLACK = 150  # the most that red, green and blue of a black cat add up to
POSES: tuple[Pose, ...] = ("face", "sitting", "standing")
ANY_POSE, MOSTLY_FACES, NO_FACES = (0.4, 0.3, 0.3), (0.8, 0.1, 0.1), (0.0, 0.5, 0.5)


@dataclass(frozen=True)
class Creature:
    """An animal to draw: a lion, an iguana, or a cat of a breed (else "") and an age in years."""

    kind: str
    breed: str = ""
    age: float = 4.0


@dataclass(frozen=True)
class Scene:
    """What a picture shows.

    backdrop: whether what is behind a light coat is dark, and behind a dark coat light; poses: how likely each of
    POSES is for an animal that is alone.
    """

    creatures: tuple[Creature, ...]
    night: bool
    backdrop: bool = False
    poses: tuple[float, float, float] = ANY_POSE


def draw_scene(scene: Scene, size: int, draw: np.random.Generator) -> NDArray[np.uint8]:
    """uint8 [3, size, size], RGB. It is drawn larger, and made smaller with smooth edges."""
    side = max(96, min(3 * size, 192), 2 * size)
    picture = _background(side, scene.night, draw)
    towards = draw.uniform(-1, 1), draw.uniform(-1, -0.2)
    for creature, layer, pose in _cast(scene, side, draw):
        light_behind = _draw_creature(layer, creature, pose, draw)
        if scene.backdrop:
            behind = Image.new("RGB", (side, side), WHITE if light_behind else DARK)
            picture = Image.blend(picture, behind, draw.uniform(*BACKDROP))
        _stand(picture, layer, towards, draw)
    if draw.random() < 0.25:
        _in_front(picture, draw)
    small = picture.resize((size, size), Image.Resampling.BOX)
    return _light(small, scene.night, towards, draw)


def _cast(scene: Scene, side: int, draw: np.random.Generator) -> list[tuple[Creature, Layer, Pose]]:
    """Each animal with its place: one alone fills the picture, several share it from left to right."""
    cast = []
    alone = len(scene.creatures) == 1
    slots = np.full(1, 0.5) if alone else np.linspace(0.27, 0.73, len(scene.creatures))
    for creature, slot in zip(scene.creatures, draw.permutation(slots), strict=True):
        pose = POSES[draw.choice(3, p=scene.poses if alone else NO_FACES)]
        unit = (0.4 if alone else 0.27) * draw.uniform(0.88, 1.13)
        place = slot + draw.uniform(-0.085, 0.085), (0.54 if alone else 0.64) + draw.uniform(-0.075, 0.075)
        layer = Layer(side, place, unit, draw.uniform(-0.1, 0.1), bool(draw.random() < 0.5))
        cast.append((creature, layer, pose))
    return cast


def _draw_creature(layer: Layer, creature: Creature, pose: Pose, draw: np.random.Generator) -> bool:
    """Draws it, and says whether something light is to be behind it.

    Behind a black cat it is as often dark: black on white alone would give the Bombay away.
    """
    if creature.kind == "lion":
        draw_lion(layer, pose, draw)
        return False
    if creature.kind == "iguana":
        draw_iguana(layer, pose, draw)
        return True
    breed = BREEDS[creature.breed]
    coat, eyes = breed.coats[draw.integers(len(breed.coats))], breed.eyes[draw.integers(len(breed.eyes))]
    cat = Cat(breed, coat, eyes, creature.age)
    draw_cat(layer, cat, pose, draw)
    return cat.dark and not (sum(coat.fur) < BLACK and draw.random() < 0.5)


def _stand(picture: Image.Image, layer: Layer, towards: tuple[float, float], draw: np.random.Generator) -> None:
    """Puts the animal in the picture, darker on the side away from the light, with its shadow on the ground."""
    side = layer.side
    soft = layer.alpha.reduce(4).filter(ImageFilter.BoxBlur(side / 96)).resize((side, side), Image.Resampling.BILINEAR)
    reach = side / 24
    lit = ImageChops.offset(soft, round(towards[0] * reach), round(towards[1] * reach))
    shade = ImageEnhance.Brightness(ImageChops.multiply(ImageChops.invert(lit), layer.alpha)).enhance(0.8)
    layer.colours.paste(mix(DARK, (40, 40, 80), 0.5), mask=shade)
    cast = ImageChops.offset(soft, round(-towards[0] * reach), round(reach * 0.6))
    picture.paste(DARK, mask=ImageEnhance.Brightness(cast).enhance(draw.uniform(0.1, 0.5)))
    picture.paste(layer.colours, mask=layer.alpha)


def _any_colour(draw: np.random.Generator, low: float = 0.15, high: float = 0.97) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(draw.random(), draw.uniform(0, 0.6), draw.uniform(low, high))
    return (round(red * 255), round(green * 255), round(blue * 255))


def _slope(side: int, above: Colour, below: Colour) -> Image.Image:
    """One colour turning into another from top to bottom."""
    steps = np.linspace(0, 1, side)[:, None, None]
    shades = np.array(above) * (1 - steps) + np.array(below) * steps
    return Image.fromarray(np.broadcast_to(shades, (side, side, 3)).astype(np.uint8))


def _background(side: int, night: bool, draw: np.random.Generator) -> Image.Image:
    kind = draw.integers(3)
    if kind == 0:
        return _room(side, night, draw)
    return _garden(side, night, draw) if kind == 1 else _studio(side, draw)


def _room(side: int, night: bool, draw: np.random.Generator) -> Image.Image:
    wall, floor = _any_colour(draw), _any_colour(draw)
    picture = _slope(side, wall, mix(wall, DARK, 0.25))
    pencil = ImageDraw.Draw(picture)
    ground = draw.uniform(0.62, 0.85) * side
    if draw.random() < 0.4:
        paper = mix(wall, _any_colour(draw), 0.35)
        for left in np.arange(0, side, side / draw.integers(5, 11)):
            pencil.rectangle((left, 0, left + side * 0.05, ground), fill=paper)
    x, y, width, height = np.array(draw.uniform((0.02, 0.03, 0.25, 0.25), (0.6, 0.2, 0.45, 0.42))) * side
    frame = _any_colour(draw)
    glass = _sky_colours(night, draw)[1] if draw.random() < 0.6 else _any_colour(draw)
    pencil.rectangle((x, y, x + width, y + height), fill=glass, outline=frame, width=round(side * 0.025))
    pencil.line((x + width / 2, y, x + width / 2, y + height), fill=frame, width=round(side * 0.015))
    pencil.rectangle((0, ground, side, side), fill=floor)
    pencil.rectangle((0, ground, side, ground + side * 0.025), fill=mix(floor, WHITE, 0.4))
    return picture


def _sky_colours(night: bool, draw: np.random.Generator) -> tuple[Colour, Colour]:
    if night:
        return mix((8, 10, 34), (40, 30, 70), draw.random()), mix((30, 36, 80), (80, 60, 90), draw.random())
    return mix((70, 130, 210), (170, 180, 195), draw.random()), mix((180, 215, 240), (240, 200, 170), draw.random())


def _garden(side: int, night: bool, draw: np.random.Generator) -> Image.Image:
    picture = _slope(side, *_sky_colours(night, draw))
    pencil = ImageDraw.Draw(picture)
    if night:
        for x, y in draw.uniform(0, (side, side * 0.5), (14, 2)).tolist():
            pencil.ellipse((x, y, x + side / 80, y + side / 80), fill=WHITE)
    x, y = draw.uniform(0.05, 0.9) * side, draw.uniform(0.03, 0.2) * side
    if draw.random() < 0.6:
        pencil.ellipse((x, y, x + side * 0.12, y + side * 0.12), fill=(235, 235, 215) if night else (255, 236, 150))
    ground = draw.uniform(0.45, 0.8) * side
    earth = ((96, 150, 62), (150, 122, 82), (222, 226, 232), (190, 172, 112))[draw.integers(4)]
    bush = mix((50, 104, 52), _any_colour(draw), 0.35)
    for left in draw.uniform(-0.1, 1.0, 5) * side:
        tall = draw.uniform(0.06, 0.22) * side
        leaves = mix(bush, DARK, draw.uniform(0, 0.3))
        pencil.ellipse((left, ground - tall, left + side * 0.3, ground + tall), fill=leaves)
    pencil.rectangle((0, ground, side, side), fill=earth)
    for x, y in draw.uniform((0, ground), (side, side), (40, 2)).tolist():
        pencil.line((x, y, x + side / 96, y - side * 0.04), fill=mix(earth, DARK, 0.25), width=round(side / 96))
    return picture


def _studio(side: int, draw: np.random.Generator) -> Image.Image:
    """Two colours with blurred lights in them."""
    picture = _slope(side, _any_colour(draw), _any_colour(draw))
    pencil = ImageDraw.Draw(picture)
    for x, y, radius in draw.uniform((0, 0, 0.04), (1, 1, 0.16), (6, 3)) * side:
        pencil.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_any_colour(draw))
    return picture.resize((side // 4, side // 4)).filter(ImageFilter.BoxBlur(side / 64)).resize((side, side))


def _in_front(picture: Image.Image, draw: np.random.Generator) -> None:
    """Something before the animal: a bar, a plant, or a ball."""
    side, colour = picture.width, _any_colour(draw)
    pencil = ImageDraw.Draw(picture)
    kind, x = draw.integers(3), draw.uniform(0.1, 0.9) * side
    if kind == 0:
        foot, width = x + draw.uniform(-0.2, 0.2) * side, round(side * draw.uniform(0.03, 0.08))
        pencil.line((x, 0, foot, side), fill=colour, width=width)
    elif kind == 1:
        leaf = mix((60, 130, 60), colour, 0.3)
        for _ in range(5):
            (lean, top), half = draw.uniform((-0.25, 0.45), (0.25, 0.8)) * side, side * 0.04
            shade = mix(leaf, DARK, draw.uniform(0, 0.3))
            pencil.polygon([(x - half, side), (x + lean, top), (x + half, side)], fill=shade)
    else:
        ball = blob((x / side, draw.uniform(0.75, 0.95)), (0.11, 0.11)) * side
        pencil.polygon([(px, py) for px, py in ball.tolist()], fill=colour, outline=mix(colour, DARK, 0.5))


def _light(
    picture: Image.Image, night: bool, towards: tuple[float, float], draw: np.random.Generator
) -> NDArray[np.uint8]:
    """The colour, brightness and direction of the light, a lens that is not quite sharp, and noise."""
    size = picture.width
    if draw.random() < 0.4:
        picture = picture.filter(ImageFilter.BoxBlur(draw.uniform(0.2, 0.6) * size / 64))
    values = np.asarray(picture, dtype=np.float64) / 255
    across = np.linspace(-0.5, 0.5, size)
    slope = 1 + draw.uniform(0, 0.7) * (towards[0] * across[None, :] + towards[1] * across[:, None])
    tint = 1 + draw.uniform(-0.25, 0.25, 3)
    strength = np.exp(np.clip(draw.normal(0, 0.3), -0.6, 0.35))
    if night:
        tint, strength = tint * (0.75, 0.85, 1.2), strength * draw.uniform(0.35, 0.6)
    values = values * slope[:, :, None] * tint * strength
    values += draw.normal(0, draw.uniform(0.01, 0.06), values.shape)
    pixels: NDArray[np.uint8] = (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
    return pixels.transpose(2, 0, 1)
