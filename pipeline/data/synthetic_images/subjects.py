"""What is asked about the pictures: for each subject its classes, and what picture i shows with its target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.datasets import Subject
from pipeline.data.examples import TargetKind
from pipeline.data.synthetic_images.breeds import BREEDS
from pipeline.data.synthetic_images.scenes import MOSTLY_FACES, Creature, Scene

ANIMALS = ("cat", "iguana", "lion")
OLDEST = 20


@dataclass(frozen=True)
class Asked:
    """The kind of target, its classes, and how many pictures make a round in which each case comes once."""

    kind: TargetKind
    classes: tuple[str, ...]
    round: int


SUBJECTS: dict[Subject, Asked] = {
    "breed": Asked("classes", tuple(BREEDS), len(BREEDS)),
    "presence": Asked("classes", ("no cat", "cat"), 6),
    "animals": Asked("classes", ANIMALS, 3),
    "together": Asked("labels", ANIMALS, 8),
    "age": Asked("numbers", (), OLDEST),
    "daylight": Asked("classes", ("day", "night"), 2),
}
NUMBERS = {subject: number for number, subject in enumerate(SUBJECTS)}


def generator(seed: int, subject: Subject, row: int) -> np.random.Generator:
    """The random numbers of one picture: they depend on nothing but these three."""
    return np.random.default_rng([seed, NUMBERS[subject], row])


def case(seed: int, subject: Subject, row: int) -> int:
    """Which case of its round a picture is: every round of pictures holds each case once, in an order of its own."""
    length = SUBJECTS[subject].round
    order = np.random.default_rng([seed, NUMBERS[subject], row // length, 1]).permutation(length)
    return int(order[row % length])


def scene(seed: int, subject: Subject, row: int) -> tuple[Scene, Any]:
    """What a picture shows, and its target: a class, the 0 and 1 of three labels, or years."""
    number, draw = case(seed, subject, row), np.random.default_rng([seed, NUMBERS[subject], row, 2])
    night = bool(draw.random() < 0.1)
    if subject == "breed":
        return Scene((_cat(draw, tuple(BREEDS)[number]),), night=False, backdrop=True), number
    if subject == "presence":
        creatures = (_cat(draw),) if number < 3 else ((), (Creature("lion"),), (Creature("iguana"),))[number - 3]
        return Scene(creatures, night), int(number < 3)
    if subject == "animals":
        return Scene((_animal(ANIMALS[number], draw),), night), number
    if subject == "together":
        labels = [number >> bit & 1 for bit in range(3)]
        there = tuple(_animal(name, draw) for name, label in zip(ANIMALS, labels, strict=True) if label)
        return Scene(there, night), labels
    if subject == "age":
        years = float(np.float32(number + draw.random()))
        return Scene((_cat(draw, years=years),), night, poses=MOSTLY_FACES), years
    creatures = (_animal(ANIMALS[draw.integers(3)], draw),) if draw.random() < 0.7 else ()
    return Scene(creatures, bool(number)), number


def _cat(draw: np.random.Generator, breed: str | None = None, years: float | None = None) -> Creature:
    """A cat, of any breed and a grown age where these are not given."""
    any_breed, any_years = tuple(BREEDS)[draw.integers(len(BREEDS))], draw.uniform(1, 6)
    return Creature("cat", breed or any_breed, any_years if years is None else years)


def _animal(name: str, draw: np.random.Generator) -> Creature:
    return _cat(draw) if name == "cat" else Creature(name)


def targets(seed: int, subject: Subject, count: int) -> NDArray[np.int64] | NDArray[np.float32]:
    """The targets of all pictures; nothing is drawn for them."""
    known = [scene(seed, subject, row)[1] for row in range(count)]
    return np.array(known, np.int64) if SUBJECTS[subject].kind == "classes" else np.array(known, np.float32)
