"""Activations at the finetuned part of a backbone, read a batch at a time from disk or from GPU memory."""

import torch
from torch import Tensor

from pipeline.data.examples import BackboneActivations
from pipeline.preprocessing.streamed import INPUT_MEMORY_SHARE, copy_to_device, from_numpy_readonly


class IndexedActivations:
    """Activations with the row numbers of `FeatureInputs.to_device`: below N all views of an image, then single views.

    On a GPU the views lie in its memory if they fit; otherwise a batch is read from disk, with equal values.
    weights: the pretrained tensors of the finetuned part, by name.
    """

    def __init__(self, activations: BackboneActivations, device: torch.device) -> None:
        self.image_count = len(activations.indices)
        self.device = device
        self.weights = {name: torch.from_numpy(value) for name, value in activations.weights.items()}
        self.views = [from_numpy_readonly(view) for view in activations.views]
        self.image_rows = torch.from_numpy(activations.indices)
        byte_count = sum(view.nbytes for view in activations.views)
        if device.type == "cuda" and byte_count < INPUT_MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]:
            self.views = [view.to(device) for view in self.views]
            self.image_rows = self.image_rows.to(device)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return the activations [n, views, ...] of int64 [n] rows on the device: one view, or all of them."""
        view_numbers = rows.to(self.image_rows.device).div(self.image_count, rounding_mode="floor")
        indices = self.image_rows[(rows % self.image_count).to(self.image_rows.device)]
        if len(self.views) == 1:  # any() below would wait for the GPU
            return copy_to_device(self.views[0][indices][:, None], self.device)
        if not bool(view_numbers.any()):
            return copy_to_device(torch.stack([view[indices] for view in self.views], dim=1), self.device)
        batch = torch.empty(len(indices), 1, *self.views[0].shape[1:], dtype=self.views[0].dtype, device=indices.device)
        for number, view in enumerate(self.views, start=1):
            mask = view_numbers == number
            batch[mask, 0] = view[indices[mask]]
        return copy_to_device(batch, self.device)
