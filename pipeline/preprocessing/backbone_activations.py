"""What a part of a backbone reads that is trained along, a batch at a time, from the disk or from the device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.examples import Deep
from pipeline.preprocessing.streamed import SHARE, moved, shared


class DeepRows:
    """Indexed like the resident rows of `FeatureInputs`: a row below N is all views of a picture, another is one view.

    On a GPU the views lie on the card where they fit; elsewhere a batch is read from the disk, and gives the same.
    weights: the published numbers of the part, by name.
    """

    def __init__(self, deep: Deep, device: torch.device) -> None:
        self.count, self.device = len(deep.rows), device
        self.weights = {name: torch.from_numpy(value) for name, value in deep.weights.items()}
        self.views, self.rows = [shared(view) for view in deep.views], torch.from_numpy(deep.rows)
        if device.type == "cuda" and _bytes(deep.views) < SHARE * torch.cuda.mem_get_info(device)[0]:
            self.views, self.rows = [view.to(device) for view in self.views], self.rows.to(device)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """int64 [n] to [n, views, ...] on the device: one view, or all of them."""
        place, picture = rows.to(self.rows.device).div(self.count, rounding_mode="floor"), rows % self.count
        found = self.rows[picture.to(self.rows.device)]
        if len(self.views) == 1:  # a look at the rows would wait for the GPU
            return moved(self.views[0][found][:, None], self.device)
        if not bool(place.any()):
            return moved(torch.stack([view[found] for view in self.views], dim=1), self.device)
        out = torch.empty(len(found), 1, *self.views[0].shape[1:], dtype=self.views[0].dtype, device=found.device)
        for number, view in enumerate(self.views, start=1):
            mine = place == number
            out[mine, 0] = view[found[mine]]
        return moved(out, self.device)


def _bytes(views: Sequence[NDArray[np.generic]]) -> int:
    return sum(view.nbytes for view in views)
