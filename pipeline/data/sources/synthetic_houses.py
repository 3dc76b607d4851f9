"""Generate a table of houses whose prices follow a formula with noise."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.datasets import SyntheticHouses, TargetKind
from pipeline.data.examples import Examples, Table

ZIP_CODES = 40
NUMBER_NAMES = ("bedrooms", "size_m2", "family_size", "wealth")
MISSING_WEALTH_SHARE = 0.02
PRICE_NOISE_STD = 0.07
FloatArray = NDArray[np.float64]


def load_synthetic_houses(dataset: SyntheticHouses, _target_kind: TargetKind, _cache: Path) -> Examples:
    """Generate houses with bedrooms, size, family size, wealth of the neighbourhood, zip code and price.

    price = 1,900 * size_m2 * place(zip_code) * (0.5 + wealth)^1.5 * rooms * room_for_the_family * noise, in USD:
    place is a factor from 0.6 to 1.7 that has nothing to do with the zip code's number; wealth goes from 0 to 1;
    rooms falls from 1.2 the further the bedrooms are from one for every 28 m2; room_for_the_family goes from 0.8,
    where fewer than 15 m2 are left for each of the family, to 1.25 from 45 m2 on; noise is log-normal with a spread
    of 7 %. About 2 % of the wealths are missing.
    """
    rng = np.random.default_rng([dataset.seed, 17])
    location_factors = rng.permutation(np.exp(np.linspace(np.log(0.6), np.log(1.7), ZIP_CODES)))
    codes = rng.integers(0, ZIP_CODES, dataset.count)
    numbers = _sample_houses(location_factors[codes], rng)
    price = _compute_price(numbers, location_factors[codes]) * np.exp(rng.normal(0, PRICE_NOISE_STD, dataset.count))
    numbers[rng.random(dataset.count) < MISSING_WEALTH_SHARE, NUMBER_NAMES.index("wealth")] = np.nan
    levels = tuple(str(10_115 + 37 * code) for code in range(ZIP_CODES))
    return Examples(
        inputs=Table(numbers.astype(np.float32), NUMBER_NAMES, codes[:, None], ("zip_code",), (levels,)),
        targets=price.astype(np.float32),
        target_kind="numbers",
        names=tuple(f"house {row:04d}" for row in range(dataset.count)),
        groups=np.arange(dataset.count),
        test_mask=np.zeros(dataset.count, dtype=np.bool_),
        is_synthetic=True,
        notes=("synthetic houses; for your own: dataset=table dataset.file=... dataset.target=...",),
    ).with_fingerprint()


def _sample_houses(location_factors: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Sample float64 [N, 4] in the order of NUMBER_NAMES; expensive locations are slightly wealthier."""
    count = len(location_factors)
    size = np.round(np.clip(np.exp(rng.normal(4.7, 0.4, count)), 25, 400))
    bedrooms = np.clip(np.round(size / 28 + rng.normal(0, 1.2, count)), 1, 8)
    family = np.clip(rng.poisson(2.2, count) + 1, 1, 8)
    wealth = np.round(np.clip(rng.beta(2, 2.5, count) + 0.15 * np.log(location_factors), 0, 1), 3)
    return np.stack([bedrooms, size, family, wealth], axis=1)


def _compute_price(numbers: FloatArray, location_factors: FloatArray) -> FloatArray:
    """Return the price in USD before noise."""
    bedrooms, size, family, wealth = numbers.T
    rooms = 1.2 - 0.1 * np.minimum(np.abs(bedrooms - size / 28), 4)
    room_for_the_family = 0.8 + 0.015 * (np.clip(size / family, 15, 45) - 15)
    price: FloatArray = 1_900 * size * location_factors * (0.5 + wealth) ** 1.5 * rooms * room_for_the_family
    return price
