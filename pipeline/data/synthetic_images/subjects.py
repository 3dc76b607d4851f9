"""Define the subjects of synthetic images: classes, and the scene and target of image i."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.datasets import SUBJECT_TARGET_KINDS
from pipeline.data.synthetic_images.breeds import BREEDS
from pipeline.data.synthetic_images.scenes import MOSTLY_FACES_PROBABILITIES, Animal, Scene

ANIMALS = ("cat", "iguana", "lion")
MAX_AGE_YEARS = 20


@dataclass(frozen=True)
class SubjectSpec:
    """Classes of a subject, and the number of images in a cycle that contains each case once."""

    classes: tuple[str, ...]
    cycle_length: int


SUBJECTS: dict[str, SubjectSpec] = {
    "breed": SubjectSpec(tuple(BREEDS), len(BREEDS)),
    "presence": SubjectSpec(("no cat", "cat"), 6),
    "animals": SubjectSpec(ANIMALS, 3),
    "together": SubjectSpec(ANIMALS, 8),
    "age": SubjectSpec((), MAX_AGE_YEARS),
    "daylight": SubjectSpec(("day", "night"), 2),
}
SUBJECT_IDS = {subject: number for number, subject in enumerate(SUBJECTS)}


def make_rng(seed: int, subject: str, row: int) -> np.random.Generator:
    """Return the random generator of one image; it depends only on the seed, the subject and the row."""
    return np.random.default_rng([seed, SUBJECT_IDS[subject], row])


def pick_case(seed: int, subject: str, row: int) -> int:
    """Return the case of an image; each cycle of images contains every case once, in random order."""
    cycle_length = SUBJECTS[subject].cycle_length
    order = np.random.default_rng([seed, SUBJECT_IDS[subject], row // cycle_length, 1]).permutation(cycle_length)
    return int(order[row % cycle_length])


def make_scene(seed: int, subject: str, row: int) -> tuple[Scene, Any]:
    """Return the scene of an image and its target: a class code, three 0/1 labels, or years."""
    case_index = pick_case(seed, subject, row)
    rng = np.random.default_rng([seed, SUBJECT_IDS[subject], row, 2])
    is_night = bool(rng.random() < 0.1)
    if subject == "breed":
        return Scene((_make_cat(rng, tuple(BREEDS)[case_index]),), is_night=False, has_backdrop=True), case_index
    if subject == "presence":
        animals = (_make_cat(rng),) if case_index < 3 else ((), (Animal("lion"),), (Animal("iguana"),))[case_index - 3]
        return Scene(animals, is_night), int(case_index < 3)
    if subject == "animals":
        return Scene((_make_animal(ANIMALS[case_index], rng),), is_night), case_index
    if subject == "together":
        labels = [case_index >> bit & 1 for bit in range(3)]
        shown = [name for name, label in zip(ANIMALS, labels, strict=True) if label]
        return Scene(tuple(_make_animal(name, rng) for name in shown), is_night), labels
    if subject == "age":
        years = float(np.float32(case_index + rng.random()))
        return Scene((_make_cat(rng, years=years),), is_night, pose_probabilities=MOSTLY_FACES_PROBABILITIES), years
    animals = (_make_animal(ANIMALS[rng.integers(3)], rng),) if rng.random() < 0.7 else ()
    return Scene(animals, bool(case_index)), case_index


def _make_cat(rng: np.random.Generator, breed: str | None = None, years: float | None = None) -> Animal:
    """Return a cat, of a random breed and adult age unless given."""
    any_breed = tuple(BREEDS)[rng.integers(len(BREEDS))]
    any_years = rng.uniform(1, 6)
    return Animal("cat", breed or any_breed, any_years if years is None else years)


def _make_animal(name: str, rng: np.random.Generator) -> Animal:
    return _make_cat(rng) if name == "cat" else Animal(name)


def make_targets(seed: int, subject: str, count: int) -> NDArray[np.int64] | NDArray[np.float32]:
    """Return the targets of all images without drawing them."""
    values = [make_scene(seed, subject, row)[1] for row in range(count)]
    return np.array(values, np.int64) if SUBJECT_TARGET_KINDS[subject] == "classes" else np.array(values, np.float32)
