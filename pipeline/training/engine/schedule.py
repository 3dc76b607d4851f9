"""The learning rate of a step as a share of the highest: constant, cosine or one cycle, with a warm-up."""

import math
from collections.abc import Callable, Mapping

from pipeline.config.schema import ScheduleName, Training

# The defaults of torch.optim.lr_scheduler.OneCycleLR: pct_start, div_factor and final_div_factor.
ONE_CYCLE_WARMUP_RATIO = 0.3
ONE_CYCLE_DIV_FACTOR = 25.0
ONE_CYCLE_FINAL_DIV_FACTOR = 1e4


def compute_rate_share(training: Training, step: int, total_steps: int) -> float:
    """Return the learning rate of a step as a share of `training.learning_rate`.

    step: from 0 to total_steps - 1; total_steps: those of all planned epochs, also if training ends earlier.
    """
    return RATE_SHARES[training.schedule](training.warmup_ratio, step, total_steps)


def _share_of_constant(warmup_ratio: float, step: int, total_steps: int) -> float:
    """Rise by equal parts to 1 at the end of the warm-up, as LinearLR with start_factor = 1 / (warm-up steps + 1)."""
    warmup_steps = math.ceil(warmup_ratio * total_steps)
    return min(1.0, (step + 1) / (warmup_steps + 1))


def _share_of_cosine(warmup_ratio: float, step: int, total_steps: int) -> float:
    """Fall from 1 to 0 by half a cosine after the warm-up (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
    warmup_steps = math.ceil(warmup_ratio * total_steps)
    if step < warmup_steps:
        return _share_of_constant(warmup_ratio, step, total_steps)
    return _anneal(1.0, 0.0, (step - warmup_steps) / (total_steps - warmup_steps))


def _share_of_one_cycle(warmup_ratio: float, step: int, total_steps: int) -> float:
    """Rise to 1 in the warm-up, then fall far below the first rate (Smith & Topin 2019, arXiv:1708.07120).

    As OneCycleLR with cycle_momentum=False; the peak may lie between two steps.
    """
    first = 1 / ONE_CYCLE_DIV_FACTOR
    peak_step = (warmup_ratio or ONE_CYCLE_WARMUP_RATIO) * total_steps - 1
    if step < peak_step:
        return _anneal(first, 1.0, step / peak_step)
    return _anneal(1.0, first / ONE_CYCLE_FINAL_DIV_FACTOR, (step - peak_step) / (total_steps - 1 - peak_step))


def _anneal(start: float, end: float, progress: float) -> float:
    """Go from start to end by half a cosine as progress goes from 0 to 1."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * progress))


RATE_SHARES: Mapping[ScheduleName, Callable[[float, int, int], float]] = {
    "constant": _share_of_constant,
    "cosine": _share_of_cosine,
    "one_cycle": _share_of_one_cycle,
}
