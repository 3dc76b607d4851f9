"""The made-up houses: a table with the mistakes and the interactions of a real one."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from pipeline.config.datasets import SyntheticHouses
from pipeline.data.examples import Examples, Table
from pipeline.data.sources import synthetic_houses


@pytest.fixture(scope="module")
def sold() -> Examples:
    return synthetic_houses.load_synthetic_houses(SyntheticHouses("drawn_houses", 2000, 0), "numbers", Path())


def table(examples: Examples) -> Table:
    assert isinstance(examples.inputs, Table)
    return examples.inputs


def test_same_seed_gives_same_houses(sold: Examples) -> None:
    assert (
        synthetic_houses.load_synthetic_houses(SyntheticHouses("drawn_houses", 2000, 0), "numbers", Path()).fingerprint
        == sold.fingerprint
    )
    assert (
        synthetic_houses.load_synthetic_houses(SyntheticHouses("drawn_houses", 2000, 1), "numbers", Path()).fingerprint
        != sold.fingerprint
    )


def test_prices_are_positive_numbers_of_a_house(sold: Examples) -> None:
    assert sold.target_kind == "numbers"
    assert sold.targets.dtype == np.float32
    assert sold.targets.min() > 5_000
    assert 100_000 < np.median(sold.targets) < 400_000


def test_says_that_the_houses_are_made_up(sold: Examples) -> None:
    assert sold.is_synthetic
    assert sold.notes == ("synthetic houses; for your own: dataset=table dataset.file=... dataset.target=...",)
    assert not sold.test_mask.any()
    assert len(set(sold.groups.tolist())) == len(sold) == len(set(sold.names))


def test_only_some_wealths_are_missing(sold: Examples) -> None:
    missing = np.isnan(table(sold).numbers).mean(axis=0)
    assert table(sold).number_names == ("bedrooms", "size_m2", "family_size", "wealth")
    assert missing[:3].tolist() == [0, 0, 0]
    assert 0.01 < missing[3] < 0.03


def test_zip_codes_are_text_and_their_price_does_not_follow_their_number(sold: Examples) -> None:
    (levels,) = table(sold).levels
    codes = table(sold).codes[:, 0]
    per_metre = sold.targets / table(sold).numbers[:, 1]
    typical = [float(np.median(per_metre[codes == code])) for code in range(len(levels))]
    assert len(levels) == 40
    assert levels[0] == "10115"
    assert list(levels) == sorted(levels)
    assert max(typical) > 2 * min(typical)
    assert abs(np.corrcoef(np.arange(40), typical)[0, 1]) < 0.5


def test_a_straight_line_explains_the_prices_only_in_part(sold: Examples) -> None:
    numbers = np.nan_to_num(table(sold).numbers, nan=0.45)
    inputs = np.concatenate([numbers, np.eye(40)[table(sold).codes[:, 0]]], axis=1)
    line = LinearRegression().fit(inputs[:1600], sold.targets[:1600])
    misses = np.abs(line.predict(inputs[1600:]) - sold.targets[1600:]).mean() / np.median(sold.targets)
    guesses = np.abs(np.median(sold.targets) - sold.targets[1600:]).mean() / np.median(sold.targets)
    assert 0.15 < misses < 0.6 * guesses
