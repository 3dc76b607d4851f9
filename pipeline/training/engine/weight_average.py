"""A second network whose numbers are running means of those of a first, which is in training."""

from __future__ import annotations

from copy import deepcopy
from itertools import chain

import torch

from pipeline.models.networks import Network

KEPT = 0.98  # of a mean, in each step: it looks back on about the latest fifty


class Average:
    """Follows a network step by step; where that one jumps about, this one is near the middle of its jumps."""

    def __init__(self, network: Network) -> None:
        self.network = deepcopy(network).requires_grad_(False)
        self.means, self.latest = (list(chain(each.parameters(), each.buffers())) for each in (self.network, network))

    @torch.no_grad()
    def follow(self, taken: int) -> None:
        """The first network has taken one more step, and so many in all: of few, all weigh the same."""
        torch._foreach_lerp_(self.means, self.latest, max(1 - KEPT, 1 / taken))
