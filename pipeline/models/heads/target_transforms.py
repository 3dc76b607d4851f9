"""Transforms of a target: the network learns its logarithm or square root, and predictions are transformed back."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.config.heads import TransformName
from pipeline.preprocessing.base import Constants
from pipeline.runtime.errors import UserError

# Standard deviations of the transformed targets by which a prediction may lie outside the range of the training
# targets. Without bounds one unusual row is predicted hundreds of times too large, as errors grow by the exponential,
# which overflows float32 from 89 on; without a margin no test row could be priced above all training rows.
BOUNDS_MARGIN = 1.0


class TargetTransform(NamedTuple):
    """An increasing function of the target and its inverse; lowest: the least value that the function takes."""

    function: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]
    lowest: float


TRANSFORMS: Mapping[TransformName, TargetTransform] = {
    "log": TargetTransform(torch.log, torch.exp, -math.inf),
    "sqrt": TargetTransform(torch.sqrt, torch.square, 0.0),
}


def require_transformable(name: TransformName, min_target: float) -> None:
    """Raise UserError if the smallest target is too small for the transform."""
    if name == "none" or min_target > 0 or (name == "sqrt" and min_target == 0):
        return
    rule = f"head.transform={name} needs targets {'above 0' if name == 'log' else 'of at least 0'}"
    way_out = "head.transform=sqrt" if min_target == 0 else "head.transform=none and head.output=identity"
    raise UserError(f"{rule}; got a target of {min_target:g}; use {way_out}")


def fit_bounds(name: TransformName, encoded_targets: Tensor, constants: Constants) -> Constants:
    """Return the bounds of outputs, in the unit of the encoded targets of the training rows; none without a transform.

    constants: shift and scale of the transformed targets.
    """
    if name == "none":
        return {}
    lowest = (TRANSFORMS[name].lowest - constants["target.shift"]) / constants["target.scale"]
    low = torch.maximum(encoded_targets.min() - BOUNDS_MARGIN, lowest)  # below, a square would rise again
    return {"target.low": low, "target.high": encoded_targets.max() + BOUNDS_MARGIN}
