"""How an error falls with the number of rows: a power law, fitted, and what it expects of twice as many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from pipeline.runtime import seeds
from pipeline.study.intervals import CONFIDENCE_LEVEL, N_BOOTSTRAP_RESAMPLES

FloatArray = NDArray[np.float64]
CANDIDATE_EXPONENTS = np.linspace(0.05, 2.0, 79)
MIN_SIZES = 3  # sizes, as many as the law has numbers


@dataclass(frozen=True)
class PowerLawFits:
    """Error = a + b n^-c, with a, b >= 0: the mean of the folds, and what other draws of folds would have given.

    a, b, c: float64 [1 + RESAMPLES], the fit of the mean first; most: the largest n measured, to which b is scaled.
    """

    a: FloatArray
    b: FloatArray
    c: FloatArray
    max_rows: float

    def predict_errors(self, rows: FloatArray) -> FloatArray:
        """float64 [1 + RESAMPLES, len(rows)]: the error of each law with so many rows."""
        return self.a[:, None] + self.b[:, None] * (rows / self.max_rows) ** -self.c[:, None]

    def confidence_band(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Between what the error lies with so many rows by 95 % of the laws of redrawn folds."""
        low, high = np.quantile(self.predict_errors(rows)[1:], _INTERVAL_QUANTILES, axis=0)
        return low, high

    @property
    def gain_from_doubling(self) -> tuple[float, float, float]:
        """What twice the rows take off the error: by the fit of the mean, and between what by 95 % of the others."""
        errors = self.predict_errors(np.array([self.max_rows, 2 * self.max_rows]))
        gains = errors[:, 0] - errors[:, 1]
        low, high = np.quantile(gains[1:], _INTERVAL_QUANTILES)
        return float(gains[0]), float(low), float(high)


_INTERVAL_QUANTILES = ((1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2)


def fit(rows: FloatArray, errors: FloatArray, repeats: int = 1) -> PowerLawFits:
    """Least squares through the mean errors; rows: float64 [sizes]; errors: float64 [repeats x folds, sizes].

    The law: Cortes, Jackel, Solla, Vapnik, Denker 1993 (NIPS 6, 327); it holds for networks over many magnitudes
    (Hestness et al. 2017, arXiv 1712.00409), though not near chance. Its uncertainty: folds drawn again with
    replacement (Efron 1979), their spread widened by sqrt(folds / (folds - 1)), by which that of few is too small, and
    by what Student's t is wider at the ends than the normal distribution, since that spread is an estimate too. 95 % of
    them held the true gain of simulated curves in 90 to 97 % of cases, but where a is 0, at an end of what is fitted,
    in 73 to 87 % (Andrews 2000, Econometrica 68, 399: there a bootstrap fails).
    """
    folds = len(errors) // repeats  # repeats judge by the same rows again: no more are drawn than one has
    generator = np.random.default_rng(seeds.derive_seed("power law"))
    mean = errors.mean(axis=0)
    resampled_means = errors[generator.integers(len(errors), size=(N_BOOTSTRAP_RESAMPLES, folds))].mean(axis=1)
    t_ratio = t.ppf(_INTERVAL_QUANTILES[1], folds - 1) / norm.ppf(_INTERVAL_QUANTILES[1])
    widened_means = mean + (resampled_means - mean) * np.sqrt(folds / (folds - 1)) * t_ratio
    return PowerLawFits(
        *_solve_least_squares(rows / rows.max(), np.maximum(np.vstack([mean, widened_means]), 0.0)), float(rows.max())
    )


def _solve_least_squares(rows: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """a, b and c of each line of errors [lines, sizes]: a and b solved for each exponent, the best exponent taken."""
    x = rows ** -CANDIDATE_EXPONENTS[:, None]  # [exponents, sizes]
    centered = x - x.mean(axis=1, keepdims=True)
    b = errors @ centered.T / (centered**2).sum(axis=1)
    b = np.maximum(b, 0.0)
    a = errors.mean(axis=1, keepdims=True) - b * x.mean(axis=1)
    through_zero = errors @ x.T / (x**2).sum(axis=1)
    b, a = np.where(a < 0, through_zero, b), np.maximum(a, 0.0)
    squared_errors = ((a[..., None] + b[..., None] * x - errors[:, None]) ** 2).sum(axis=2)
    best = squared_errors.argmin(axis=1)
    indices = np.arange(len(errors))
    return a[indices, best], b[indices, best], CANDIDATE_EXPONENTS[best]
