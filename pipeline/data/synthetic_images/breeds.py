"""Define the twelve cat breeds: body shapes, coat patterns and colors."""

from dataclasses import dataclass
from typing import Literal

from pipeline.data.synthetic_images.canvas import Color

CoatPattern = Literal["solid", "points", "tabby", "spots", "rosettes", "ticked", "bare"]

COPPER = (214, 120, 30)
AMBER = (236, 170, 40)
GREEN = (120, 190, 70)
LEMON = (205, 205, 90)
BLUE = (80, 150, 235)


@dataclass(frozen=True)
class Coat:
    """Color of the fur, and of the markings on it (points, stripes, spots)."""

    fur_color: Color
    marking_color: Color


@dataclass(frozen=True)
class Breed:
    """Shape and coat of a breed; lengths are relative to an average cat, shares go from 0 to 1.

    chin: how far the face narrows to a wedge; flatness: of the nose; fluffiness: the length of the fur;
    ear_roundness: of the tips; ear_spread: how far the ears lean outwards; slimness: how thin body and legs
    are; white_markings: where the coat is white, whatever its color.
    """

    pattern: CoatPattern
    coats: tuple[Coat, ...]
    eye_colors: tuple[Color, ...]
    head_width: float = 1.0
    chin: float = 0.25
    flatness: float = 0.0
    fluffiness: float = 0.0
    ear_size: float = 1.0
    ear_roundness: float = 0.2
    ear_spread: float = 0.25
    eye_size: float = 1.0
    eye_slant: float = 0.12
    slimness: float = 0.4
    tail_thickness: float = 1.0
    has_ear_tufts: bool = False
    white_markings: Literal["none", "paws", "blaze"] = "none"


# fmt: off
BREEDS: dict[str, Breed] = {
    "Abyssinian": Breed(
        "ticked",
        (Coat((188, 116, 62), (92, 50, 26)), Coat((226, 192, 158), (156, 112, 84)), Coat((96, 84, 84), (48, 42, 48))),
        (GREEN, AMBER, COPPER), chin=0.34, ear_size=1.3, ear_roundness=0.35, ear_spread=0.38, slimness=0.7,
        tail_thickness=0.8,
    ),
    "Bengal": Breed(
        "rosettes",
        (Coat((206, 146, 74), (58, 32, 14)), Coat((232, 222, 202), (126, 100, 78)), Coat((92, 88, 90), (24, 22, 26))),
        (GREEN, AMBER, BLUE), chin=0.22, ear_size=0.85, ear_roundness=0.4, ear_spread=0.3, slimness=0.5,
        tail_thickness=1.1,
    ),
    "Birman": Breed(
        "points", (
            Coat((236, 222, 196), (84, 58, 44)), Coat((226, 226, 228), (104, 112, 130)),
            Coat((150, 122, 100), (64, 44, 36)),
        ),
        (BLUE,), head_width=1.08, chin=0.12, fluffiness=0.55, ear_size=0.85, ear_roundness=0.35, slimness=0.15,
        tail_thickness=1.7, white_markings="paws",
    ),
    "Bombay": Breed(
        "solid", (Coat((34, 32, 36), (16, 15, 18)), Coat((58, 46, 42), (26, 20, 18))),
        (COPPER, AMBER), head_width=1.02, chin=0.12, ear_size=0.95, ear_roundness=0.4, eye_size=1.15, eye_slant=0.02,
        slimness=0.45,
    ),
    "British_Shorthair": Breed(
        "solid", (
            Coat((116, 126, 146), (92, 100, 118)), Coat((236, 212, 172), (206, 170, 122)),
            Coat((58, 56, 62), (36, 34, 38)), Coat((238, 236, 232), (214, 208, 202)),
        ),
        (COPPER, AMBER, BLUE), head_width=1.22, chin=-0.08, fluffiness=0.06, ear_size=0.62, ear_roundness=0.5,
        ear_spread=0.5, eye_size=1.12, eye_slant=-0.02, slimness=0.0, tail_thickness=1.5,
    ),
    "Egyptian_Mau": Breed(
        "spots",
        (Coat((206, 206, 206), (44, 42, 46)), Coat((176, 134, 92), (62, 38, 22)), Coat((90, 86, 92), (24, 22, 26))),
        (LEMON, GREEN), chin=0.32, ear_size=1.12, ear_spread=0.2, eye_size=1.15, eye_slant=0.2, slimness=0.7,
        tail_thickness=0.8,
    ),
    "Maine_Coon": Breed(
        "tabby", (
            Coat((124, 88, 58), (44, 28, 20)), Coat((188, 190, 196), (52, 52, 58)),
            Coat((236, 178, 110), (182, 96, 38)), Coat((70, 66, 70), (26, 24, 28)),
        ),
        (AMBER, GREEN, BLUE), head_width=1.02, chin=0.05, fluffiness=0.8, ear_size=1.4, ear_roundness=0.0,
        ear_spread=0.12, slimness=0.1, tail_thickness=2.2, has_ear_tufts=True,
    ),
    "Persian": Breed(
        "solid", (
            Coat((242, 236, 226), (214, 202, 186)), Coat((230, 168, 102), (200, 128, 66)),
            Coat((96, 98, 110), (68, 70, 82)), Coat((50, 44, 46), (30, 26, 28)),
        ),
        (COPPER, GREEN, BLUE), head_width=1.28, chin=-0.1, flatness=1.0, fluffiness=1.0, ear_size=0.5,
        ear_roundness=0.5, ear_spread=0.62, eye_size=1.25, eye_slant=-0.1, slimness=0.0, tail_thickness=2.0,
    ),
    "Ragdoll": Breed(
        "points", (
            Coat((232, 218, 196), (94, 68, 54)), Coat((218, 220, 226), (110, 118, 136)),
            Coat((146, 120, 104), (66, 46, 40)), Coat((116, 112, 124), (72, 74, 90)),
        ),
        (BLUE,), head_width=1.12, chin=0.1, fluffiness=0.7, ear_size=0.85, ear_roundness=0.35, ear_spread=0.4,
        slimness=0.05, tail_thickness=2.0, white_markings="blaze",
    ),
    "Russian_Blue": Breed(
        "solid", (Coat((100, 110, 132), (76, 84, 104)), Coat((168, 176, 192), (130, 138, 156))),
        (GREEN, LEMON), chin=0.38, ear_size=1.15, ear_roundness=0.1, ear_spread=0.3, eye_slant=0.22, slimness=0.7,
        tail_thickness=0.8,
    ),
    "Siamese": Breed(
        "points", (
            Coat((234, 216, 186), (62, 42, 34)), Coat((224, 224, 228), (98, 106, 126)),
            Coat((148, 118, 94), (52, 36, 30)),
        ),
        (BLUE,), head_width=0.92, chin=0.55, ear_size=1.5, ear_roundness=0.0, ear_spread=0.6, eye_size=0.9,
        eye_slant=0.4, slimness=1.0, tail_thickness=0.5,
    ),
    "Sphynx": Breed(
        "bare",
        (Coat((232, 182, 164), (196, 136, 122)), Coat((104, 88, 92), (70, 58, 64)), Coat((150, 112, 98), (84, 60, 58))),
        (LEMON, BLUE, AMBER), head_width=0.94, chin=0.42, ear_size=1.75, ear_roundness=0.3, ear_spread=0.5,
        eye_size=1.15, eye_slant=0.25, slimness=0.9, tail_thickness=0.4,
    ),
}
# fmt: on
