"""Confidence intervals (95 %) of a score on the test set."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

CONFIDENCE_LEVEL = 0.95
N_BOOTSTRAP_RESAMPLES = 2_000


def wilson_interval(proportion: float, n_rows: int) -> tuple[float, float]:
    """The interval of a share of right answers: the score interval (Wilson 1927, J. Am. Stat. Assoc. 22, 209)."""
    z = float(norm.ppf((1 + CONFIDENCE_LEVEL) / 2))
    center = (proportion + z**2 / (2 * n_rows)) / (1 + z**2 / n_rows)
    half_width = z / (1 + z**2 / n_rows) * math.sqrt(proportion * (1 - proportion) / n_rows + z**2 / (4 * n_rows**2))
    return max(0.0, center - half_width), min(1.0, center + half_width)


def bootstrap_interval(
    score: Callable[[Tensor], float], n_rows: int, generator: torch.Generator
) -> tuple[float, float]:
    """The percentile interval of a score over rows drawn again with replacement (Efron 1979, Ann. Stat. 7, 1)."""
    scores = [score(torch.randint(n_rows, (n_rows,), generator=generator)) for _ in range(N_BOOTSTRAP_RESAMPLES)]
    low, high = np.quantile(scores, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
    return float(low), float(high)
