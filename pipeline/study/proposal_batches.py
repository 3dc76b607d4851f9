"""Which trials are drawn before any of them has ended: a wave; a function of the configuration, never of a clock."""

from __future__ import annotations

from pipeline.config.backbone_catalogue import CONVOLUTIONS
from pipeline.config.schema import Search
from pipeline.study.space import count_architectures

INDEPENDENT_WAVE_SIZE = 16  # trials, where none of them looks at another
GPU_WAVE_SIZE = 8


def choose_wave_size(search: Search, n_workers: int, *, on_gpu: bool) -> int:
    """How many trials are drawn at a time.

    Waiting for results is pointless where neither sampler nor pruner looks at them. Otherwise several at a time cost
    the sampler knowledge: only for several workers, two each, so that few wait at a wave's end; and on a GPU, where
    trials of one shape train side by side, if the space has so few shapes that they meet.
    """
    if not (search.sampler.uses_results or search.pruner.prunes):
        return INDEPENDENT_WAVE_SIZE
    if search.pruner.compares_running_trials:
        return 1
    if n_workers > 1:
        return 2 * n_workers
    can_stack = search.backbone.name != CONVOLUTIONS and count_architectures(search.space) <= GPU_WAVE_SIZE
    return GPU_WAVE_SIZE if on_gpu and can_stack else 1


def wave_numbers(number: int, wave_size: int) -> range:
    """The numbers of the trials drawn together with this one; the baseline is alone, so that a bug ends it at once."""
    if number == 0:
        return range(1)
    first = (number - 1) // wave_size * wave_size + 1
    return range(first, first + wave_size)
