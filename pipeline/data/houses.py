"""Houses and their prices by a formula with noise: a table for a first search, with nothing to download."""

from __future__ import annotations

import numpy as np

from pipeline.config.datasets import DrawnHouses
from pipeline.data.examples import Examples, Table

ZIP_CODES = 40
NOTE = "made-up houses; for your own: dataset=table dataset.file=... dataset.target=..."


def load(dataset: DrawnHouses) -> Examples:
    """Houses with bedrooms, size, family size, wealth of the neighbourhood and zip code, and what they sell for.

    price = 1.15^bedrooms_that_fit * size_m2^0.8 * 2,600 * (0.6 + wealth)^1.3 * place(zip_code) * noise, in USD, where
    a bedroom fits for every 22 m2, a larger family pays more for a house that has room for it, place is a factor of
    the zip code that has nothing to do with its number, and noise is log-normal with a spread of 8 %.
    """
    draw = np.random.default_rng([dataset.seed, 17])
    count = dataset.count
    place = draw.permutation(np.exp(np.linspace(-0.6, 0.6, ZIP_CODES)))
    codes = draw.integers(0, ZIP_CODES, count)
    wealth = np.clip(draw.beta(2, 3, count) + 0.15 * np.log(place[codes]), 0, 1)
    size = np.round(np.exp(draw.normal(4.7, 0.4, count)))
    bedrooms = np.clip(np.round(size / 28 + draw.normal(0, 1, count)), 1, 8)
    family = np.clip(draw.poisson(2.2, count) + 1, 1, 8)
    fitting = np.minimum(bedrooms, size / 22)
    room = 1 + 0.06 * np.clip(fitting - family, -2, 2)
    price = 1.15**fitting * size**0.8 * 2_600 * (0.6 + wealth) ** 1.3 * place[codes] * room
    price *= np.exp(draw.normal(0, 0.08, count))
    numbers = np.stack([bedrooms, size, family, wealth], axis=1).astype(np.float32)
    numbers[draw.random(numbers.shape) < 0.01] = np.nan
    table = Table(
        numbers,
        ("bedrooms", "size_m2", "family_size", "wealth"),
        codes[:, None].astype(np.int64),
        ("zip_code",),
        (tuple(str(10_115 + 37 * code) for code in range(ZIP_CODES)),),
    )
    return Examples(
        inputs=table,
        targets=price.astype(np.float32),
        kind="numbers",
        names=tuple(map(str, range(count))),
        groups=np.arange(count),
        test=np.zeros(count, dtype=np.bool_),
        drawn=True,
        notes=(NOTE,),
    ).with_fingerprint()
