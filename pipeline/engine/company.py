"""Which trials share a stack: one small rule a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.schema import Activation, Convolutions, Model, Tail, Training
from pipeline.network import parameter_count

STEP_ON_A_CPU = 5_000_000  # weights times rows of one step of a trial, over its folds: about half a millisecond
TRIALS_ON_A_CPU = 8
MEMBERS_ON_A_GPU = 320


@dataclass(frozen=True)
class Shape:
    """What the networks of one stack have in common."""

    hidden: tuple[int, ...]
    activation: Activation
    batch_size: int
    optimizer: str
    convolutions: Convolutions | None = None
    tail: Tail | None = None

    @classmethod
    def of(cls, model: Model, training: Training) -> Shape:
        """The shape of a trial's networks."""
        between = (model.hidden, model.activation, training.batch_size, training.optimizer)
        return cls(*between, model.convolutions, model.tail)


def most(shape: Shape, folds: int, features: int, outputs: int, *, on_gpu: bool) -> int:
    """How many trials of a shape are trained side by side.

    On a CPU that pays only where a step is so short that calling the library takes most of it, and never from where
    the stack leaves the caches; a GPU is filled. Convolutions and backbones go one member after the other anyway.
    """
    if shape.convolutions is not None or shape.tail is not None:
        return 1
    if on_gpu:
        return max(1, MEMBERS_ON_A_GPU // folds)
    work = parameter_count(features, shape.hidden, outputs) * shape.batch_size * folds
    return TRIALS_ON_A_CPU if work <= STEP_ON_A_CPU else 1


def groups(shapes: Sequence[Shape], folds: int, features: int, outputs: int, *, on_gpu: bool) -> list[list[int]]:
    """The places of the trials that share a stack, each place once; groups in the order of their first trial."""
    found: list[list[int]] = []
    open_: dict[Shape, list[int]] = {}
    for place, shape in enumerate(shapes):
        group = open_.get(shape)
        if group is None or len(group) >= most(shape, folds, features, outputs, on_gpu=on_gpu):
            group = open_[shape] = []
            found.append(group)
        group.append(place)
    return found
