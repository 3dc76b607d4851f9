"""The drawn pictures: the same everywhere, drawn once, and a problem that is worth hidden layers."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipeline.config.datasets import SyntheticImages
from pipeline.data import synthetic_images
from pipeline.data.examples import Examples, Images

BREEDS = [
    *("Abyssinian", "Bengal", "Birman", "Bombay", "British_Shorthair", "Egyptian_Mau"),
    *("Maine_Coon", "Persian", "Ragdoll", "Russian_Blue", "Siamese", "Sphynx"),
]


def asked(subject: str, count: int = 60, size: int = 16, seed: int = 0) -> SyntheticImages:
    return SyntheticImages("drawn", subject, count, size, seed)


def pixels(examples: Examples) -> np.ndarray:
    assert isinstance(examples.inputs, Images)
    return np.asarray(examples.inputs.pixels)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


def test_same_seed_gives_same_pictures(tmp_path: Path) -> None:
    first, again = (
        synthetic_images.load_synthetic_images(asked("animals"), "classes", tmp_path / folder) for folder in ("a", "b")
    )
    other = synthetic_images.load_synthetic_images(asked("animals", seed=1), "classes", tmp_path)
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_two_processes_draw_what_one_draws() -> None:
    dataset = asked("together", count=120)
    one, two = (np.concatenate(list(synthetic_images.draw_images(dataset, processes))) for processes in (1, 2))
    assert np.array_equal(one, two)
    assert one.shape == (120, 3, 16, 16)


def test_a_larger_set_begins_with_the_smaller_one(tmp_path: Path) -> None:
    small, large = (
        synthetic_images.load_synthetic_images(asked("breed", count), "classes", tmp_path) for count in (60, 75)
    )
    assert np.array_equal(pixels(small), pixels(large)[:60])
    assert small.targets.tolist() == large.targets[:60].tolist()


def test_pictures_are_drawn_once(tmp_path: Path) -> None:
    first = synthetic_images.load_synthetic_images(asked("daylight"), "classes", tmp_path)
    (file,) = tmp_path.iterdir()
    os.utime(file, (1, 1))
    assert (
        synthetic_images.load_synthetic_images(asked("daylight"), "classes", tmp_path).fingerprint == first.fingerprint
    )
    assert file.stat().st_mtime == 1


@pytest.mark.parametrize("damage", ["cut short", "other bytes", "empty", "no array"])
def test_a_damaged_cache_is_drawn_again(tmp_path: Path, damage: str) -> None:
    first = synthetic_images.load_synthetic_images(asked("daylight"), "classes", tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.unlink()
    flipped = whole[:5000] + bytes([whole[5000] ^ 255]) + whole[5001:]
    damaged = {"cut short": whole[:9000], "other bytes": flipped, "empty": b"", "no array": b"text" * 99}
    file.write_bytes(damaged[damage])
    assert (
        synthetic_images.load_synthetic_images(asked("daylight"), "classes", tmp_path).fingerprint == first.fingerprint
    )
    assert file.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("subject", "classes", "counts"),
    [
        ("breed", BREEDS, [5] * 12),
        ("presence", ["no cat", "cat"], [30, 30]),
        ("animals", ["cat", "iguana", "lion"], [20] * 3),
        ("daylight", ["day", "night"], [30, 30]),
    ],
)
def test_classes_are_balanced(shelf: Path, subject: str, classes: list[str], counts: list[int]) -> None:
    examples = synthetic_images.load_synthetic_images(asked(subject), "classes", shelf)
    assert examples.target_kind == "classes"
    assert list(examples.classes) == classes
    assert examples.targets.dtype == np.int64
    assert np.bincount(examples.targets).tolist() == counts


def test_together_shows_every_set_of_animals_equally_often(shelf: Path) -> None:
    examples = synthetic_images.load_synthetic_images(asked("together", 80), "classes", shelf)
    sets = Counter(map(tuple, examples.targets.tolist()))
    assert (examples.target_kind, examples.classes) == ("labels", ("cat", "iguana", "lion"))
    assert examples.targets.dtype == np.float32
    assert set(sets.values()) == {10}
    assert len(sets) == 8


def test_ages_are_spread_from_0_to_20_years(shelf: Path) -> None:
    examples = synthetic_images.load_synthetic_images(asked("age"), "classes", shelf)
    assert (examples.target_kind, examples.classes) == ("numbers", ())
    assert examples.targets.dtype == np.float32
    assert np.bincount(examples.targets.astype(int)).tolist() == [3] * 20


@pytest.mark.parametrize("size", [8, 64, 100])
def test_pictures_have_the_size_asked_for(tmp_path: Path, size: int) -> None:
    drawings = pixels(synthetic_images.load_synthetic_images(asked("together", size=size), "classes", tmp_path))
    assert drawings.shape == (60, 3, size, size)
    assert drawings.dtype == np.uint8
    assert len({drawing.tobytes() for drawing in drawings}) == 60


def test_says_that_the_pictures_are_drawn(shelf: Path) -> None:
    examples = synthetic_images.load_synthetic_images(asked("breed"), "classes", shelf)
    assert examples.is_synthetic
    assert examples.notes == ("synthetic images; for your own: dataset=folder dataset.root=...",)
    assert examples.names[7] == f"drawn 0007 {BREEDS[examples.targets[7]]}"
    assert len(set(examples.groups.tolist())) == 60
    assert not examples.test_mask.any()


def test_a_straight_line_finds_few_breeds_and_day_and_night_by_brightness(shelf: Path) -> None:
    breeds = synthetic_images.load_synthetic_images(asked("breed", 480, 24), "classes", shelf)
    rows = pixels(breeds).reshape(480, -1) / 128 - 1
    straight = LogisticRegression(C=3e-4, max_iter=60).fit(rows[:360], breeds.targets[:360])
    score = straight.score(rows[360:], breeds.targets[360:])
    assert 1.5 / 12 < score < 0.45
    days = synthetic_images.load_synthetic_images(asked("daylight", 120), "classes", shelf)
    light = pixels(days).mean(axis=(1, 2, 3))
    guessed = light < np.median(light)
    assert 0.85 < (guessed == days.targets).mean() < 1
