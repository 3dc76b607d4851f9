"""Power law of the error over the number of training rows, and the gain that it predicts for twice as many."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from pipeline.runtime import seeds
from pipeline.study.intervals import CONFIDENCE_LEVEL, N_BOOTSTRAP_RESAMPLES

FloatArray = NDArray[np.float64]
CANDIDATE_EXPONENTS = np.linspace(0.05, 2.0, 79)
MIN_SIZES = 3  # as many as the law has parameters
INTERVAL_QUANTILES = ((1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2)


@dataclass(frozen=True)
class PowerLawFits:
    """Error = a + b n^-c with a, b >= 0, fitted to the mean of the folds and to resampled means.

    a, b, c: float64 [1 + resamples], the fit of the mean first; n: the rows as a share of max_rows.
    """

    a: FloatArray
    b: FloatArray
    c: FloatArray
    max_rows: float

    def predict_errors(self, rows: FloatArray) -> FloatArray:
        """Return float64 [1 + resamples, len(rows)]: the error of each fit for each number of rows."""
        return self.a[:, None] + self.b[:, None] * (rows / self.max_rows) ** -self.c[:, None]

    def confidence_band(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the ends between which 95 % of the resampled fits lie, float64 [len(rows)] each."""
        low, high = np.quantile(self.predict_errors(rows)[1:], INTERVAL_QUANTILES, axis=0)
        return low, high

    @property
    def gain_from_doubling(self) -> tuple[float, float, float]:
        """Return by how much twice the rows lower the error: fit of the mean, and the ends of 95 % of the others."""
        errors = self.predict_errors(np.array([self.max_rows, 2 * self.max_rows]))
        gains = errors[:, 0] - errors[:, 1]
        low, high = np.quantile(gains[1:], INTERVAL_QUANTILES)
        return float(gains[0]), float(low), float(high)


def fit(rows: FloatArray, errors: FloatArray, repeats: int = 1) -> PowerLawFits:
    """Return least squares fits to the mean errors; rows: float64 [sizes], errors: float64 [repeats x folds, sizes].

    The law: Cortes, Jackel, Solla, Vapnik, Denker 1993 (NIPS 6, 327); it holds for networks over many magnitudes
    (Hestness et al. 2017, arXiv 1712.00409), though not near chance. Its uncertainty: folds resampled with replacement
    (Efron 1979), their spread widened by sqrt(folds / (folds - 1)), by which that of few is too small, and by the ratio
    of the quantiles of Student's t and the normal distribution, since that spread is an estimate too. 95 % of the fits
    held the true gain of simulated curves in 90 to 97 % of cases, but if a is 0, at an end of its range, in 73 to 87 %
    (Andrews 2000, Econometrica 68, 399: there a bootstrap fails).
    """
    folds = len(errors) // repeats  # repeats score the same rows again, so a resample has only one repeat's folds
    generator = np.random.default_rng(seeds.derive_seed("power law"))
    mean = errors.mean(axis=0)
    resampled_means = errors[generator.integers(len(errors), size=(N_BOOTSTRAP_RESAMPLES, folds))].mean(axis=1)
    t_ratio = t.ppf(INTERVAL_QUANTILES[1], folds - 1) / norm.ppf(INTERVAL_QUANTILES[1])
    widened_means = mean + (resampled_means - mean) * np.sqrt(folds / (folds - 1)) * t_ratio
    all_means = np.maximum(np.vstack([mean, widened_means]), 0.0)
    return PowerLawFits(*_solve_least_squares(rows / rows.max(), all_means), float(rows.max()))


def _solve_least_squares(rows: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return a, b, c of each curve of errors [curves, sizes]: a and b in closed form, c by grid search."""
    x = rows ** -CANDIDATE_EXPONENTS[:, None]  # [exponents, sizes]
    centered = x - x.mean(axis=1, keepdims=True)
    free_b = np.maximum(errors @ centered.T / (centered**2).sum(axis=1), 0.0)
    free_a = errors.mean(axis=1, keepdims=True) - free_b * x.mean(axis=1)
    b = np.where(free_a < 0, errors @ x.T / (x**2).sum(axis=1), free_b)  # through zero if a would be negative
    a = np.maximum(free_a, 0.0)
    squared_errors = ((a[..., None] + b[..., None] * x - errors[:, None]) ** 2).sum(axis=2)
    best = squared_errors.argmin(axis=1)
    curves = np.arange(len(errors))
    return a[curves, best], b[curves, best], CANDIDATE_EXPONENTS[best]
