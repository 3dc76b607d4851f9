"""Which trials are trained in one stack, on each kind of device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.model import ActivationName, Model
from pipeline.config.schema import Training
from pipeline.models.networks import count_dense_parameters

# Weights times batch size times folds: a step of about half a millisecond. Larger stacks leave the caches.
MAX_CPU_STACK_STEP_SIZE = 5_000_000
MAX_TRIALS_PER_CPU_STACK = 8
MAX_MEMBERS_PER_GPU_STACK = 320  # an estimate for small networks: more of them gain nothing
STACK_GPU_MEMORY_SHARE = 0.8  # of the free memory
FLOATS_PER_WEIGHT = 5  # value, gradient, the two moments of AdamW and the running mean
FLOATS_PER_NODE = 4  # for each row of a minibatch: the four buffers of `FusedForwardBackward`


@dataclass(frozen=True)
class StackKey:
    """The properties that all networks of one stack share.

    is_fused: the fused step trains them, side by side; others are trained by autograd, one trial in a stack.
    """

    hidden: tuple[int, ...]
    activation: ActivationName
    batch_size: int
    optimizer: str
    is_fused: bool = True

    @classmethod
    def from_trial(cls, model: Model, training: Training) -> StackKey:
        """Return the key of a trial."""
        is_fused = model.has_plain_layers and model.tail is None
        return cls(model.hidden, model.activation, training.batch_size, training.optimizer, is_fused)


@dataclass(frozen=True)
class StackLimits:
    """Limits of a stack. free_bytes: of a GPU's memory, None on a CPU; max_trials: None leaves the rule to choose."""

    free_bytes: float | None = None
    max_trials: int | None = None


def max_trials_per_stack(stack_key: StackKey, fold_count: int, features: int, outputs: int, limits: StackLimits) -> int:
    """Return how many trials with this key are trained together, at least 1.

    On a CPU a stack is faster only if its step is so short that the calls of torch take most of it; a GPU is filled.
    """
    # The autograd loop trains one member after the other: a stack would only need more memory.
    if not stack_key.is_fused:
        return 1
    weight_count = count_dense_parameters(features, stack_key.hidden, outputs)
    if limits.free_bytes is None:
        is_short_step = weight_count * stack_key.batch_size * fold_count <= MAX_CPU_STACK_STEP_SIZE
        trial_count = MAX_TRIALS_PER_CPU_STACK if is_short_step else 1
    else:
        floats_per_row = features + FLOATS_PER_NODE * (sum(stack_key.hidden) + outputs)
        member_bytes = 4 * (FLOATS_PER_WEIGHT * weight_count + stack_key.batch_size * floats_per_row)
        member_count = min(MAX_MEMBERS_PER_GPU_STACK, int(STACK_GPU_MEMORY_SHARE * limits.free_bytes / member_bytes))
        trial_count = member_count // fold_count
    return max(1, min(trial_count, limits.max_trials or trial_count))


def group_by_stack_key(
    stack_keys: Sequence[StackKey], fold_count: int, features: int, outputs: int, limits: StackLimits
) -> list[list[int]]:
    """Return the indices of the trials of each stack, each index once, in the order of the first trials."""
    groups: list[list[int]] = []
    open_groups: dict[StackKey, list[int]] = {}
    for index, stack_key in enumerate(stack_keys):
        group = open_groups.get(stack_key)
        if group is None or len(group) >= max_trials_per_stack(stack_key, fold_count, features, outputs, limits):
            group = open_groups[stack_key] = []
            groups.append(group)
        group.append(index)
    return groups
