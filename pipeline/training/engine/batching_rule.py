"""Which trials share a stack: one small rule a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config.model import Activation, Convolutions, Model, Tail
from pipeline.config.schema import Training
from pipeline.models.networks import parameter_count

STEP_ON_A_CPU = 5_000_000  # weights times rows of one step of a trial, over its folds: about half a millisecond
TRIALS_ON_A_CPU = 8
MEMBERS_ON_A_GPU = 320  # of small networks, an estimate: from there on more of them would gain nothing
SHARE = 0.8  # of a GPU's free memory
KEPT = 4  # numbers for each weight: itself, its gradient, and two running means
BUFFERS = 4  # numbers for each node of each row of a minibatch


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


@dataclass(frozen=True)
class Room:
    """free: bytes of a GPU's memory, None on a CPU. stack: at most so many trials side by side; None: all that pay."""

    free: float | None = None
    stack: int | None = None


def most(shape: Shape, folds: int, features: int, outputs: int, room: Room) -> int:
    """How many trials of a shape are trained side by side.

    On a CPU that pays only where a step is so short that calling the library takes most of it, and never from where
    the stack leaves the caches; a GPU is filled. Convolutions and backbones go one member after the other anyway.
    """
    if shape.convolutions is not None or shape.tail is not None:
        return 1
    weights = parameter_count(features, shape.hidden, outputs)
    if room.free is None:
        pays = TRIALS_ON_A_CPU if weights * shape.batch_size * folds <= STEP_ON_A_CPU else 1
    else:
        numbers = KEPT * weights + shape.batch_size * (features + BUFFERS * (sum(shape.hidden) + outputs))
        pays = min(MEMBERS_ON_A_GPU, int(SHARE * room.free / (4 * numbers))) // folds
    return max(1, min(pays, room.stack or pays))


def groups(shapes: Sequence[Shape], folds: int, features: int, outputs: int, room: Room) -> list[list[int]]:
    """The places of the trials that share a stack, each place once; groups in the order of their first trial."""
    found: list[list[int]] = []
    open_: dict[Shape, list[int]] = {}
    for place, shape in enumerate(shapes):
        group = open_.get(shape)
        if group is None or len(group) >= most(shape, folds, features, outputs, room):
            group = open_[shape] = []
            found.append(group)
        group.append(place)
    return found
