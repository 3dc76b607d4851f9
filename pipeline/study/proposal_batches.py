"""Batches of trials sampled before any of them has finished; they depend on the configuration, not on time."""

from pipeline.config.backbone_catalogue import CONVOLUTIONS
from pipeline.config.schema import Search
from pipeline.study.space import count_architectures

INDEPENDENT_BATCH_SIZE = 16  # trials, if neither sampler nor pruner uses the results of others
GPU_BATCH_SIZE = 8


def choose_batch_size(search: Search, n_workers: int, *, on_gpu: bool) -> int:
    """Return the number of trials to sample at a time.

    Sampler and pruner know less in a larger batch. It is worth it for several workers, with two trials each, so that
    few wait at its end; and on a GPU, where trials of one shape train side by side, if the space has few shapes.
    """
    if not (search.sampler.uses_results or search.pruner.prunes):
        return INDEPENDENT_BATCH_SIZE
    if search.pruner.compares_running_trials:
        return 1
    if n_workers > 1:
        return 2 * n_workers
    can_stack = search.backbone.name != CONVOLUTIONS and count_architectures(search.space) <= GPU_BATCH_SIZE
    return GPU_BATCH_SIZE if on_gpu and can_stack else 1


def batch_numbers(number: int, batch_size: int) -> range:
    """Return the numbers of the batch of this trial; the baseline is one of its own, so that a bug ends at once."""
    if number == 0:
        return range(1)
    first = (number - 1) // batch_size * batch_size + 1
    return range(first, first + batch_size)
