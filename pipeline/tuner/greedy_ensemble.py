"""Greedy selection of an ensemble from out-of-fold predictions (Caruana et al. 2004, ICML)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from pipeline.config.final_models import MAX_ENSEMBLE_MEMBERS


def select_members(
    predictions: Mapping[int, Sequence[Tensor]], score: Callable[[Sequence[Tensor]], float], first: int
) -> Counter[int]:
    """Return how often each trial is a member of the ensemble: the one of the best mean prediction that was met.

    predictions: the out-of-fold predictions of each trial, a tensor for each fold; score: their score, of which more
    is better; first: the trial to begin with. Each step adds the trial, with replacement, whose mean with the members
    so far scores best.
    """
    members = [first]
    totals = list(predictions[first])
    best_members = members
    best_score = score(totals)
    while len(members) < MAX_ENSEMBLE_MEMBERS:
        count = len(members) + 1

        def score_with(number: int, totals: Sequence[Tensor] = totals, count: int = count) -> float:
            return score([torch.add(*pair) / count for pair in zip(totals, predictions[number], strict=True)])

        scores = {number: score_with(number) for number in predictions}
        added = max(scores, key=lambda number: scores[number])
        members = [*members, added]
        totals = [torch.add(*pair) for pair in zip(totals, predictions[added], strict=True)]
        if scores[added] > best_score:
            best_score = scores[added]
            best_members = members
    return Counter(best_members)
