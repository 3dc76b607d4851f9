"""Images that exceed GPU memory: each batch is copied to the device when it is indexed, with equal values."""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

INPUT_MEMORY_SHARE = 0.5  # of free GPU memory for images or activations; training needs the rest


class StreamedImages:
    """Images [N, 3, H, W], uint8, indexed like a tensor on the device; only the indexed batch is copied there.

    Index with rows on the CPU: rows on a GPU make the copy wait for it.
    """

    def __init__(self, images: Tensor, device: torch.device) -> None:
        self.images = images
        self.device = device
        self.shape = images.shape

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return uint8 [n, 3, H, W] on the device for int64 [n] rows."""
        return copy_to_device(self.images.index_select(0, rows.cpu()), self.device)


def copy_to_device(batch: Tensor, device: torch.device) -> Tensor:
    """Copy a batch to the device without waiting for the work queued there."""
    if batch.device.type == device.type:
        return batch
    return batch.pin_memory().to(device, non_blocking=True)


def from_numpy_readonly(array: NDArray[np.generic]) -> Tensor:
    """Wrap an array, which may be memory-mapped read-only, without torch's warning about that."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
