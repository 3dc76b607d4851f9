"""The result of one epoch of a trial."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class EpochResult:
    """Mean training loss over the folds, and the metric on each fold's validation rows."""

    train_loss: float
    fold_scores: tuple[float, ...]

    @classmethod
    def curve_from_lists(cls, values: Iterable[Sequence[float]]) -> tuple[EpochResult, ...]:
        """Return the epochs of lists that `as_list` wrote."""
        return tuple(cls(loss, tuple(folds)) for loss, *folds in values)

    @property
    def as_list(self) -> list[float]:
        """Return the loss, then the score of each fold, for JSON."""
        return [self.train_loss, *self.fold_scores]

    @property
    def mean_score(self) -> float:
        """Return the mean score over the folds."""
        return math.fsum(self.fold_scores) / len(self.fold_scores)

    @property
    def is_finite(self) -> bool:
        """Return whether loss and mean score are finite; a trial without that has diverged."""
        return math.isfinite(self.train_loss) and math.isfinite(self.mean_score)
