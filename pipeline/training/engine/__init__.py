"""The training of many networks of one shape: an epoch, a validation, the weights. No Lightning here."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.models.heads import Head
from pipeline.preprocessing import Inputs
from pipeline.training.engine.autograd_loop import LoopStack
from pipeline.training.engine.finetuning import TunedStack
from pipeline.training.engine.fused_dense import DenseStack
from pipeline.training.engine.interface import FoldData, Member, Precision, Seeds, Stack, State

__all__ = [
    "DenseStack",
    "FoldData",
    "LoopStack",
    "Member",
    "Precision",
    "Seeds",
    "Stack",
    "State",
    "stack",
]


def stack(members: Sequence[Member], inputs: Inputs, head: Head, precision: Precision) -> Stack:
    """The kind of stack that measures best for these networks: the fused step, and for convolutions the loop."""
    model = members[0].model
    if model.tail is not None:
        return TunedStack(members, inputs, head, precision)
    kind = DenseStack if model.convolutions is None else LoopStack
    return kind(members, inputs, head, precision)
