"""Which trials share a stack: one small rule a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.model import ActivationName, Convolutions, FinetuneSpec, Model
from pipeline.config.schema import Training
from pipeline.models.networks import count_dense_parameters

MAX_CPU_STACK_STEP_SIZE = (
    5_000_000  # weights times rows of one step of a trial, over its folds: about half a millisecond
)
MAX_TRIALS_PER_CPU_STACK = 8
MAX_MEMBERS_PER_GPU_STACK = 320  # of small networks, an estimate: from there on more of them would gain nothing
STACK_GPU_MEMORY_SHARE = 0.8  # of a GPU's free memory
FLOATS_PER_WEIGHT = 4  # numbers for each weight: itself, its gradient, and two running means
FLOATS_PER_NODE = 4  # numbers for each node of each row of a minibatch


@dataclass(frozen=True)
class StackKey:
    """What the networks of one stack have in common."""

    hidden: tuple[int, ...]
    activation: ActivationName
    batch_size: int
    optimizer: str
    convolutions: Convolutions | None = None
    tail: FinetuneSpec | None = None

    @classmethod
    def from_trial(cls, model: Model, training: Training) -> StackKey:
        """The shape of a trial's networks."""
        shared_fields = (model.hidden, model.activation, training.batch_size, training.optimizer)
        return cls(*shared_fields, model.convolutions, model.tail)


@dataclass(frozen=True)
class StackLimits:
    """free: bytes of a GPU's memory, None on a CPU. stack: at most so many trials side by side; None: all that pay."""

    free_bytes: float | None = None
    max_trials: int | None = None


def max_trials_per_stack(stack_key: StackKey, fold_count: int, features: int, outputs: int, limits: StackLimits) -> int:
    """How many trials of a shape are trained side by side.

    On a CPU that pays only where a step is so short that calling the library takes most of it, and never from where
    the stack leaves the caches; a GPU is filled. Convolutions and backbones go one member after the other anyway.
    """
    if stack_key.convolutions is not None or stack_key.tail is not None:
        return 1
    weight_count = count_dense_parameters(features, stack_key.hidden, outputs)
    if limits.free_bytes is None:
        trial_count = (
            MAX_TRIALS_PER_CPU_STACK
            if weight_count * stack_key.batch_size * fold_count <= MAX_CPU_STACK_STEP_SIZE
            else 1
        )
    else:
        floats_per_member = FLOATS_PER_WEIGHT * weight_count + stack_key.batch_size * (
            features + FLOATS_PER_NODE * (sum(stack_key.hidden) + outputs)
        )
        trial_count = (
            min(MAX_MEMBERS_PER_GPU_STACK, int(STACK_GPU_MEMORY_SHARE * limits.free_bytes / (4 * floats_per_member)))
            // fold_count
        )
    return max(1, min(trial_count, limits.max_trials or trial_count))


def group_by_stack_key(
    stack_keys: Sequence[StackKey], fold_count: int, features: int, outputs: int, limits: StackLimits
) -> list[list[int]]:
    """The places of the trials that share a stack, each place once; groups in the order of their first trial."""
    groups: list[list[int]] = []
    open_groups: dict[StackKey, list[int]] = {}
    for index, stack_key in enumerate(stack_keys):
        group = open_groups.get(stack_key)
        if group is None or len(group) >= max_trials_per_stack(stack_key, fold_count, features, outputs, limits):
            group = open_groups[stack_key] = []
            groups.append(group)
        group.append(index)
    return groups
