"""What one cat looks like: its breed and coat, and what its age makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.data.synthetic_images.breeds import Breed, Coat
from pipeline.data.synthetic_images.canvas import Colour, Points, mix

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
        return min(max((self.age - 3) / 17, 0.0), 1.0)

    @property
    def fur(self) -> Colour:
        """The fur of the body at this age."""
        return mix(self.coat.fur, GREY, 0.75 * self.greyed)

    @property
    def marks(self) -> Colour:
        """The points, stripes or spots at this age; kittens have paler ones."""
        return mix(mix(self.coat.marks, GREY, 0.65 * self.greyed), self.coat.fur, 0.35 * (1 - self.grown))

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
