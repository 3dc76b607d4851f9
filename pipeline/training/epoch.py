"""What one epoch of a trial came to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class EpochResult:
    """The mean training loss, and the metric on each fold's validation rows."""

    train_loss: float
    fold_scores: tuple[float, ...]

    @classmethod
    def curve_from_lists(cls, values: Iterable[Sequence[float]]) -> tuple[EpochResult, ...]:
        """What `plain` has written, epoch by epoch."""
        return tuple(cls(loss, tuple(folds)) for loss, *folds in values)

    @property
    def as_list(self) -> list[float]:
        """Its numbers, for JSON: the loss, then each fold's score."""
        return [self.train_loss, *self.fold_scores]

    @property
    def mean_score(self) -> float:
        """The mean over the folds."""
        return math.fsum(self.fold_scores) / len(self.fold_scores)
