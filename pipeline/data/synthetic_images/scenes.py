"""Draw a complete image: background, animals, foreground and lighting."""

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter

from pipeline.data.synthetic_images.animals import draw_iguana, draw_lion
from pipeline.data.synthetic_images.appearance import DARK, WHITE, Cat, Pose
from pipeline.data.synthetic_images.breeds import BREEDS
from pipeline.data.synthetic_images.canvas import Color, DrawingLayer, blend, ellipse
from pipeline.data.synthetic_images.cats import draw_cat

BACKDROP_OPACITY = (0.45, 0.8)  # the share of white or black in what is behind a cat
MAX_BLACK_RGB_SUM = 150  # the most that red, green and blue of a black cat add up to
POSES: tuple[Pose, ...] = ("face", "sitting", "standing")
ANY_POSE_PROBABILITIES = (0.4, 0.3, 0.3)
MOSTLY_FACES_PROBABILITIES = (0.8, 0.1, 0.1)
NO_FACES_PROBABILITIES = (0.0, 0.5, 0.5)
Light = tuple[float, float]  # the direction from the image's center to the light, x and y; y points down


@dataclass(frozen=True)
class Animal:
    """Animal to draw: a lion, an iguana, or a cat with a breed (else "") and an age in years."""

    species: str
    breed: str = ""
    age: float = 4.0


@dataclass(frozen=True)
class Scene:
    """Content of an image; with a backdrop the background contrasts with the coat.

    pose_probabilities: of each of POSES, for a single animal.
    """

    animals: tuple[Animal, ...]
    is_night: bool
    has_backdrop: bool = False
    pose_probabilities: tuple[float, float, float] = ANY_POSE_PROBABILITIES


def draw_scene(scene: Scene, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a scene as uint8 [3, size, size], RGB; it is drawn larger and downsampled for smooth edges."""
    side = max(96, min(3 * size, 192), 2 * size)
    draw_background = (_draw_room, _draw_garden, _draw_studio)[rng.integers(3)]
    image = draw_background(side, scene.is_night, rng)
    light = rng.uniform(-1, 1), rng.uniform(-1, -0.2)
    for animal, layer, pose in _place_animals(scene, side, rng):
        has_light_backdrop = _draw_animal(layer, animal, pose, rng)
        if scene.has_backdrop:
            behind = Image.new("RGB", (side, side), WHITE if has_light_backdrop else DARK)
            image = Image.blend(image, behind, rng.uniform(*BACKDROP_OPACITY))
        _paste_with_shadow(image, layer, light, rng)
    if rng.random() < 0.25:
        _draw_foreground(image, rng)
    small = image.resize((size, size), Image.Resampling.BOX)
    return _apply_lighting(small, scene.is_night, light, rng)


def _place_animals(scene: Scene, side: int, rng: np.random.Generator) -> list[tuple[Animal, DrawingLayer, Pose]]:
    """Give each animal a layer and a pose: a single one fills the image, several share it from left to right."""
    placed = []
    is_alone = len(scene.animals) == 1
    slots = np.full(1, 0.5) if is_alone else np.linspace(0.27, 0.73, len(scene.animals))
    for animal, slot in zip(scene.animals, rng.permutation(slots), strict=True):
        pose = POSES[rng.choice(3, p=scene.pose_probabilities if is_alone else NO_FACES_PROBABILITIES)]
        unit = (0.4 if is_alone else 0.27) * rng.uniform(0.88, 1.13)
        origin = slot + rng.uniform(-0.085, 0.085), (0.54 if is_alone else 0.64) + rng.uniform(-0.075, 0.075)
        layer = DrawingLayer(side, origin, unit, rng.uniform(-0.1, 0.1), bool(rng.random() < 0.5))
        placed.append((animal, layer, pose))
    return placed


def _draw_animal(layer: DrawingLayer, animal: Animal, pose: Pose, rng: np.random.Generator) -> bool:
    """Draw an animal, and return whether its backdrop should be light.

    A black cat has a light or a dark one at equal rates: black on white alone would reveal the Bombay.
    """
    if animal.species == "lion":
        draw_lion(layer, pose, rng)
        return False
    if animal.species == "iguana":
        draw_iguana(layer, pose, rng)
        return True
    breed = BREEDS[animal.breed]
    coat = breed.coats[rng.integers(len(breed.coats))]
    eyes = breed.eye_colors[rng.integers(len(breed.eye_colors))]
    cat = Cat(breed, coat, eyes, animal.age)
    draw_cat(layer, cat, pose, rng)
    return cat.is_dark and not (sum(coat.fur_color) < MAX_BLACK_RGB_SUM and rng.random() < 0.5)


def _paste_with_shadow(image: Image.Image, layer: DrawingLayer, light: Light, rng: np.random.Generator) -> None:
    """Paste the animal into the image, darker on the side away from the light, with its shadow on the ground."""
    side = layer.side
    reach = side / 24
    small = layer.alpha.reduce(4).filter(ImageFilter.BoxBlur(side / 96))
    blurred = small.resize((side, side), Image.Resampling.BILINEAR)
    lit = ImageChops.offset(blurred, round(light[0] * reach), round(light[1] * reach))
    shade = ImageEnhance.Brightness(ImageChops.multiply(ImageChops.invert(lit), layer.alpha)).enhance(0.8)
    layer.rgb.paste(blend(DARK, (40, 40, 80), 0.5), mask=shade)
    shadow = ImageChops.offset(blurred, round(-light[0] * reach), round(reach * 0.6))
    image.paste(DARK, mask=ImageEnhance.Brightness(shadow).enhance(rng.uniform(0.1, 0.5)))
    image.paste(layer.rgb, mask=layer.alpha)


def _random_color(rng: np.random.Generator, low: float = 0.15, high: float = 0.97) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.6), rng.uniform(low, high))
    return (round(red * 255), round(green * 255), round(blue * 255))


def _vertical_gradient(side: int, above: Color, below: Color) -> Image.Image:
    steps = np.linspace(0, 1, side)[:, None, None]
    shades = np.array(above) * (1 - steps) + np.array(below) * steps
    return Image.fromarray(np.broadcast_to(shades, (side, side, 3)).astype(np.uint8))


def _draw_room(side: int, is_night: bool, rng: np.random.Generator) -> Image.Image:
    wall = _random_color(rng)
    floor = _random_color(rng)
    image = _vertical_gradient(side, wall, blend(wall, DARK, 0.25))
    drawing = ImageDraw.Draw(image)
    ground = rng.uniform(0.62, 0.85) * side
    if rng.random() < 0.4:
        paper = blend(wall, _random_color(rng), 0.35)
        for left in np.arange(0, side, side / rng.integers(5, 11)):
            drawing.rectangle((left, 0, left + side * 0.05, ground), fill=paper)
    x, y, width, height = np.array(rng.uniform((0.02, 0.03, 0.25, 0.25), (0.6, 0.2, 0.45, 0.42))) * side
    frame = _random_color(rng)
    glass = _random_sky_colors(is_night, rng)[1] if rng.random() < 0.6 else _random_color(rng)
    drawing.rectangle((x, y, x + width, y + height), fill=glass, outline=frame, width=round(side * 0.025))
    drawing.line((x + width / 2, y, x + width / 2, y + height), fill=frame, width=round(side * 0.015))
    drawing.rectangle((0, ground, side, side), fill=floor)
    drawing.rectangle((0, ground, side, ground + side * 0.025), fill=blend(floor, WHITE, 0.4))
    return image


def _random_sky_colors(is_night: bool, rng: np.random.Generator) -> tuple[Color, Color]:
    if is_night:
        return blend((8, 10, 34), (40, 30, 70), rng.random()), blend((30, 36, 80), (80, 60, 90), rng.random())
    above = blend((70, 130, 210), (170, 180, 195), rng.random())
    return above, blend((180, 215, 240), (240, 200, 170), rng.random())


def _draw_garden(side: int, is_night: bool, rng: np.random.Generator) -> Image.Image:
    image = _vertical_gradient(side, *_random_sky_colors(is_night, rng))
    drawing = ImageDraw.Draw(image)
    if is_night:
        for x, y in rng.uniform(0, (side, side * 0.5), (14, 2)).tolist():
            drawing.ellipse((x, y, x + side / 80, y + side / 80), fill=WHITE)
    x = rng.uniform(0.05, 0.9) * side
    y = rng.uniform(0.03, 0.2) * side
    if rng.random() < 0.6:
        drawing.ellipse((x, y, x + side * 0.12, y + side * 0.12), fill=(235, 235, 215) if is_night else (255, 236, 150))
    ground = rng.uniform(0.45, 0.8) * side
    earth = ((96, 150, 62), (150, 122, 82), (222, 226, 232), (190, 172, 112))[rng.integers(4)]
    bush = blend((50, 104, 52), _random_color(rng), 0.35)
    for left in rng.uniform(-0.1, 1.0, 5) * side:
        tall = rng.uniform(0.06, 0.22) * side
        leaves = blend(bush, DARK, rng.uniform(0, 0.3))
        drawing.ellipse((left, ground - tall, left + side * 0.3, ground + tall), fill=leaves)
    drawing.rectangle((0, ground, side, side), fill=earth)
    for x, y in rng.uniform((0, ground), (side, side), (40, 2)).tolist():
        drawing.line((x, y, x + side / 96, y - side * 0.04), fill=blend(earth, DARK, 0.25), width=round(side / 96))
    return image


def _draw_studio(side: int, _is_night: bool, rng: np.random.Generator) -> Image.Image:
    """Draw a gradient with blurred lights."""
    image = _vertical_gradient(side, _random_color(rng), _random_color(rng))
    drawing = ImageDraw.Draw(image)
    for x, y, radius in rng.uniform((0, 0, 0.04), (1, 1, 0.16), (6, 3)) * side:
        drawing.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_random_color(rng))
    return image.resize((side // 4, side // 4)).filter(ImageFilter.BoxBlur(side / 64)).resize((side, side))


def _draw_foreground(image: Image.Image, rng: np.random.Generator) -> None:
    """Draw a bar, a plant or a ball in front of the animal."""
    side = image.width
    color = _random_color(rng)
    drawing = ImageDraw.Draw(image)
    kind = rng.integers(3)
    x = rng.uniform(0.1, 0.9) * side
    if kind == 0:
        foot = x + rng.uniform(-0.2, 0.2) * side
        drawing.line((x, 0, foot, side), fill=color, width=round(side * rng.uniform(0.03, 0.08)))
    elif kind == 1:
        leaf = blend((60, 130, 60), color, 0.3)
        for _ in range(5):
            lean, top = rng.uniform((-0.25, 0.45), (0.25, 0.8)) * side
            corners = [(x - side * 0.04, side), (x + lean, top), (x + side * 0.04, side)]
            drawing.polygon(corners, fill=blend(leaf, DARK, rng.uniform(0, 0.3)))
    else:
        ball = ellipse((x / side, rng.uniform(0.75, 0.95)), (0.11, 0.11)) * side
        drawing.polygon([(px, py) for px, py in ball.tolist()], fill=color, outline=blend(color, DARK, 0.5))


def _apply_lighting(image: Image.Image, is_night: bool, light: Light, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Apply color, brightness and direction of the light, blur and noise."""
    size = image.width
    if rng.random() < 0.4:
        image = image.filter(ImageFilter.BoxBlur(rng.uniform(0.2, 0.6) * size / 64))
    values = np.asarray(image, dtype=np.float64) / 255
    across = np.linspace(-0.5, 0.5, size)
    gradient = 1 + rng.uniform(0, 0.7) * (light[0] * across[None, :] + light[1] * across[:, None])
    tint = 1 + rng.uniform(-0.25, 0.25, 3)
    strength = np.exp(np.clip(rng.normal(0, 0.3), -0.6, 0.35))
    if is_night:
        tint = tint * (0.75, 0.85, 1.2)
        strength *= rng.uniform(0.35, 0.6)
    values = values * gradient[:, :, None] * tint * strength
    values += rng.normal(0, rng.uniform(0.01, 0.06), values.shape)
    pixels: NDArray[np.uint8] = (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
    return pixels.transpose(2, 0, 1)
