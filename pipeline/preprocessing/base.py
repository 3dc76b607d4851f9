"""Types shared by all kinds of inputs: names that a model file may carry, and fitted constants."""

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, FailFast, Field
from torch import Tensor

Constants = dict[str, Tensor]
ShortText = Annotated[str, Field(max_length=1_000)]


def _check_unique(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("names must be unique")
    return names


UniqueNames = Annotated[tuple[ShortText, ...], FailFast(), AfterValidator(_check_unique)]


def to_float32_tensor(values: NDArray[np.floating]) -> Tensor:
    """Convert an array to a float32 tensor of the same shape."""
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
