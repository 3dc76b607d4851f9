"""What a part of a backbone reads that is trained along, a batch at a time, from the disk or from the device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.examples import BackboneActivations
from pipeline.preprocessing.streamed import INPUT_MEMORY_SHARE, copy_to_device, from_numpy_readonly


class IndexedActivations:
    """Indexed like the resident rows of `FeatureInputs`: a row below N is all views of a picture, another is one view.

    On a GPU the views lie on the card where they fit; elsewhere a batch is read from the disk, and gives the same.
    weights: the published numbers of the part, by name.
    """

    def __init__(self, activations: BackboneActivations, device: torch.device) -> None:
        self.image_count, self.device = len(activations.indices), device
        self.weights = {name: torch.from_numpy(value) for name, value in activations.weights.items()}
        self.views, self.image_rows = (
            [from_numpy_readonly(view) for view in activations.views],
            torch.from_numpy(activations.indices),
        )
        if (
            device.type == "cuda"
            and _count_bytes(activations.views) < INPUT_MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]
        ):
            self.views, self.image_rows = [view.to(device) for view in self.views], self.image_rows.to(device)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """int64 [n] to [n, views, ...] on the device: one view, or all of them."""
        view_numbers, image = (
            rows.to(self.image_rows.device).div(self.image_count, rounding_mode="floor"),
            rows % self.image_count,
        )
        indices = self.image_rows[image.to(self.image_rows.device)]
        if len(self.views) == 1:  # a look at the rows would wait for the GPU
            return copy_to_device(self.views[0][indices][:, None], self.device)
        if not bool(view_numbers.any()):
            return copy_to_device(torch.stack([view[indices] for view in self.views], dim=1), self.device)
        batch = torch.empty(len(indices), 1, *self.views[0].shape[1:], dtype=self.views[0].dtype, device=indices.device)
        for number, view in enumerate(self.views, start=1):
            mask = view_numbers == number
            batch[mask, 0] = view[indices[mask]]
        return copy_to_device(batch, self.device)


def _count_bytes(views: Sequence[NDArray[np.generic]]) -> int:
    return sum(view.nbytes for view in views)
