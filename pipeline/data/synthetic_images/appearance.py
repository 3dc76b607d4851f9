"""What one cat looks like: its breed and coat, and what its age makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.data.synthetic_images.breeds import Breed, Coat
from pipeline.data.synthetic_images.canvas import Color, Points, mix_colors

Pose = Literal["face", "sitting", "standing"]
WHITE = (246, 243, 238)
GRAY = (206, 204, 202)
PINK = (226, 150, 150)
DARK = (22, 18, 20)


@dataclass(frozen=True)
class Cat:
    """One cat; age in years."""

    breed: Breed
    coat: Coat
    eye_color: Color
    age: float

    @property
    def maturity(self) -> float:
        """0 for a new-born, 1 for an adult; most of it happens in the first two or three years."""
        return float(1 - np.exp(-self.age / 2.5))

    @property
    def gray_share(self) -> float:
        """The share of the fur that is grey."""
        return min(max((self.age - 3) / 17, 0.0), 1.0)

    @property
    def fur_color(self) -> Color:
        """The fur of the body at this age."""
        return mix_colors(self.coat.fur_color, GRAY, 0.75 * self.gray_share)

    @property
    def marking_color(self) -> Color:
        """The points, stripes or spots at this age; kittens have paler ones."""
        return mix_colors(
            mix_colors(self.coat.marking_color, GRAY, 0.65 * self.gray_share),
            self.coat.fur_color,
            0.35 * (1 - self.maturity),
        )

    @property
    def limb_color(self) -> Color:
        """Legs, ears and tail; of a cat with points they are dark."""
        return self.marking_color if self.breed.pattern == "points" else self.fur_color

    @property
    def outline_color(self) -> Color:
        """The line around a part: on dark fur a lighter one, or it could not be seen."""
        return mix_colors(self.fur_color, WHITE, 0.3) if self.is_dark else mix_colors(self.fur_color, DARK, 0.45)

    @property
    def is_dark(self) -> bool:
        """Whether the fur is rather dark than light."""
        return sum(self.coat.fur_color) < 380


@dataclass(frozen=True)
class HeadFrame:
    """Where the head is: everything on it is drawn in units of its radius."""

    x: float
    y: float
    radius: float

    def to_animal(self, points: Points | list[tuple[float, float]]) -> Points:
        """Points of the head as points of the animal."""
        return np.asarray(points, dtype=np.float64) * self.radius + (self.x, self.y)
