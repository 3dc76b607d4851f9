"""A second network whose numbers are running means of those of a first, which is in training."""

from __future__ import annotations

from copy import deepcopy
from itertools import chain

import torch

from pipeline.models.networks import Network

EMA_DECAY = 0.98  # of a mean, in each step: it looks back on about the latest fifty


class EMA:
    """Follows a network step by step; where that one jumps about, this one is near the middle of its jumps."""

    def __init__(self, network: Network) -> None:
        self.network = deepcopy(network).requires_grad_(False)
        self.averages, self.sources = (
            list(chain(each.parameters(), each.buffers())) for each in (self.network, network)
        )

    @torch.no_grad()
    def update(self, step_count: int) -> None:
        """The first network has taken one more step, and so many in all: of few, all weigh the same."""
        torch._foreach_lerp_(self.averages, self.sources, max(1 - EMA_DECAY, 1 / step_count))
