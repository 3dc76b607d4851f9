"""Confidence intervals (95 %) of a score on the test set."""

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.stats import norm
from torch import Generator, Tensor

CONFIDENCE_LEVEL = 0.95
N_BOOTSTRAP_RESAMPLES = 2_000


def wilson_interval(proportion: float, n_rows: int) -> tuple[float, float]:
    """Return the score interval of a share of correct predictions (Wilson 1927, J. Am. Stat. Assoc. 22, 209)."""
    # Not scipy's binomtest(...).proportion_ci(method="wilson"): it rounds in another order, so that 902 of 1,866
    # intervals (n from 7 to 1,000) differ by up to 2.2e-16, and studies of earlier code would get other digits.
    z = float(norm.ppf((1 + CONFIDENCE_LEVEL) / 2))
    center = (proportion + z**2 / (2 * n_rows)) / (1 + z**2 / n_rows)
    half_width = z / (1 + z**2 / n_rows) * math.sqrt(proportion * (1 - proportion) / n_rows + z**2 / (4 * n_rows**2))
    return max(0.0, center - half_width), min(1.0, center + half_width)


def bootstrap_interval(score: Callable[[Tensor], float], n_rows: int, generator: Generator) -> tuple[float, float]:
    """Return the percentile interval of a score over rows resampled with replacement (Efron 1979, Ann. Stat. 7, 1)."""
    # Not scipy.stats.bootstrap: its NumPy generator resamples other rows, so all digits would differ.
    scores = [score(torch.randint(n_rows, (n_rows,), generator=generator)) for _ in range(N_BOOTSTRAP_RESAMPLES)]
    low, high = np.quantile(scores, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
    return float(low), float(high)
