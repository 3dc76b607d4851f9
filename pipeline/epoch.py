"""What one epoch of a trial came to."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """The mean training loss, and the metric on each fold's validation rows."""

    loss: float
    folds: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the folds."""
        return math.fsum(self.folds) / len(self.folds)
