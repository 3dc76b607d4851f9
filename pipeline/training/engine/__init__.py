"""Training of many networks of one shape together: epochs, validation, weights, exact states; without Lightning."""

from collections.abc import Sequence

from pipeline.models.heads import Head
from pipeline.models.networks import StateDict
from pipeline.preprocessing import Inputs
from pipeline.training.engine.autograd_stack import AutogradStack
from pipeline.training.engine.finetuning import FinetuneStack
from pipeline.training.engine.fused_stack import FusedDenseStack
from pipeline.training.engine.interface import FoldData, Member, NetworkStack, Precision, StreamSeeds

__all__ = [
    "AutogradStack",
    "FoldData",
    "FusedDenseStack",
    "Member",
    "NetworkStack",
    "Precision",
    "StateDict",
    "StreamSeeds",
    "build_stack",
]


def build_stack(members: Sequence[Member], inputs: Inputs, head: Head, precision: Precision) -> NetworkStack:
    """Return the fastest stack for these members: the fused step for plain dense networks, autograd for others."""
    model = members[0].model
    if model.tail is not None:
        return FinetuneStack(members, inputs, head, precision)
    stack_class = FusedDenseStack if model.has_plain_layers else AutogradStack
    return stack_class(members, inputs, head, precision)
