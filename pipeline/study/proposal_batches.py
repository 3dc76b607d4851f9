"""Waves: batches of trials sampled before any of them has finished; they depend on the configuration, not on time."""

from __future__ import annotations

from pipeline.config.backbone_catalogue import CONVOLUTIONS
from pipeline.config.schema import Search
from pipeline.study.space import count_architectures

INDEPENDENT_WAVE_SIZE = 16  # trials, if neither sampler nor pruner uses the results of others
GPU_WAVE_SIZE = 8


def choose_wave_size(search: Search, n_workers: int, *, on_gpu: bool) -> int:
    """Return the number of trials to sample at a time.

    Sampler and pruner know less in a larger wave. It is worth it for several workers, with two trials each, so that few
    wait at its end; and on a GPU, where trials of one shape train side by side, if the space has few enough shapes.
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
    """Return the numbers of the wave of this trial; the baseline is a wave of its own, so that a bug ends at once."""
    if number == 0:
        return range(1)
    first = (number - 1) // wave_size * wave_size + 1
    return range(first, first + wave_size)
