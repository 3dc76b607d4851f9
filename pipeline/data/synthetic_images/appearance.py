"""Appearance of a cat: its breed and coat, and how its age changes them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.data.synthetic_images.breeds import Breed, Coat
from pipeline.data.synthetic_images.canvas import Color, blend

Pose = Literal["face", "sitting", "standing"]
WHITE = (246, 243, 238)
GRAY = (206, 204, 202)
PINK = (226, 150, 150)
DARK = (22, 18, 20)


@dataclass(frozen=True)
class Cat:
    """Cat to draw; age in years."""

    breed: Breed
    coat: Coat
    eye_color: Color
    age: float

    @property
    def maturity(self) -> float:
        """Return 0 for a newborn to 1 for an adult, saturating over the first three years."""
        return float(1 - np.exp(-self.age / 2.5))

    @property
    def gray_share(self) -> float:
        return min(max((self.age - 3) / 17, 0.0), 1.0)

    @property
    def fur_color(self) -> Color:
        return blend(self.coat.fur_color, GRAY, 0.75 * self.gray_share)

    @property
    def marking_color(self) -> Color:
        """Return the color of points, stripes or spots at this age; kittens have paler ones."""
        grayed = blend(self.coat.marking_color, GRAY, 0.65 * self.gray_share)
        return blend(grayed, self.coat.fur_color, 0.35 * (1 - self.maturity))

    @property
    def limb_color(self) -> Color:
        """Return the color of legs, ears and tail; a cat with points has dark ones."""
        return self.marking_color if self.breed.pattern == "points" else self.fur_color

    @property
    def outline_color(self) -> Color:
        """Return the color of outlines: lighter than dark fur, darker than light fur."""
        return blend(self.fur_color, WHITE, 0.3) if self.is_dark else blend(self.fur_color, DARK, 0.45)

    @property
    def is_dark(self) -> bool:
        return sum(self.coat.fur_color) < 380
