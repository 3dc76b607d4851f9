"""95 % intervals of a score on held-out rows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

LEVEL, RESAMPLES = 0.95, 2_000


def wilson(share: float, rows: int) -> tuple[float, float]:
    """The interval of a share of right answers: the score interval (Wilson 1927, J. Am. Stat. Assoc. 22, 209)."""
    z = float(norm.ppf((1 + LEVEL) / 2))
    centre = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * math.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(score: Callable[[Tensor], float], rows: int, noise: torch.Generator) -> tuple[float, float]:
    """The percentile interval of a score over rows drawn again with replacement (Efron 1979, Ann. Stat. 7, 1)."""
    scores = [score(torch.randint(rows, (rows,), generator=noise)) for _ in range(RESAMPLES)]
    low, high = np.quantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
