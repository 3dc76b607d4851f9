"""What one epoch of a trial came to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """The mean training loss, and the metric on each fold's validation rows."""

    loss: float
    folds: tuple[float, ...]

    @classmethod
    def curve(cls, plain: Iterable[Sequence[float]]) -> tuple[Epoch, ...]:
        """What `plain` has written, epoch by epoch."""
        return tuple(cls(loss, tuple(folds)) for loss, *folds in plain)

    @property
    def plain(self) -> list[float]:
        """Its numbers, for JSON: the loss, then each fold's score."""
        return [self.loss, *self.folds]

    @property
    def mean(self) -> float:
        """The mean over the folds."""
        return math.fsum(self.folds) / len(self.folds)
