"""The training of one trial's networks, a member a fold: an epoch, a validation, the weights. No Lightning here."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config.schema import Model, Training
from pipeline.engine.dense import DenseStack
from pipeline.engine.loop import LoopStack
from pipeline.engine.parts import Member, Precision, Seeds, Stack, State
from pipeline.heads import Head
from pipeline.inputs import Inputs

__all__ = ["DenseStack", "LoopStack", "Member", "Precision", "Seeds", "Stack", "State", "stack"]


def stack(
    members: Sequence[Member],
    model: Model,
    training: Training,
    inputs: Inputs,
    head: Head,
    names: Seeds,
    precision: Precision,
) -> Stack:
    """The kind of stack that measures best: the fused step in fp32, the loop under autocast for bf16."""
    kind = DenseStack if precision == "fp32" else LoopStack
    return kind(members, model, training, inputs, head, names)
