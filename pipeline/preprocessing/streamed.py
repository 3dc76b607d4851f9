"""Pictures that do not fit on a GPU: a batch at a time is read where they lie, with the same numbers."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

INPUT_MEMORY_SHARE = 0.5  # of a GPU's free memory that pictures, or their views, may take; the rest is for training


class StreamedImages:
    """Indexed like the resident pictures, uint8 [N, 3, H, W], of which a batch goes to the device.

    The rows that are asked for are best on the CPU: asking a GPU for them would wait for it.
    """

    def __init__(self, images: Tensor, device: torch.device) -> None:
        self.images, self.device, self.shape = images, device, images.shape

    def __getitem__(self, rows: Tensor) -> Tensor:
        """int64 [n] to [n, 3, H, W] on the device."""
        return copy_to_device(self.images.index_select(0, rows.cpu()), self.device)


def copy_to_device(batch: Tensor, device: torch.device) -> Tensor:
    """On the device; the copy does not wait for what is computed there."""
    if batch.device.type == device.type:
        return batch
    return batch.pin_memory().to(device, non_blocking=True)


def from_numpy_readonly(array: NDArray[np.generic]) -> Tensor:
    """The same numbers, wherever they lie; torch remarks that it will not guard them from writing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
