"""The views of a picture that a frozen backbone sees: as it is, mirrored, and closer up."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SHARE = 0.8  # of the side of a picture that a closer view keeps
CORNERS = ((0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0))  # where it lies: the middle, then each corner


def view(pictures: Tensor, number: int) -> Tensor:
    """uint8 [n, 3, S, S] to the same: 0 as it is, 1 mirrored, 2 and 3 closer up in the middle, 4 and 5 in a corner ...

    Each even one is followed by its mirror image.
    """
    place, mirrored = divmod(number, 2)
    seen = _closer(pictures, *CORNERS[(place - 1) % len(CORNERS)]) if place else pictures
    return seen.flip(3) if mirrored else seen


def _closer(pictures: Tensor, down: float, right: float) -> Tensor:
    """A square part of each picture, as large as the whole was."""
    side = pictures.shape[-1]
    kept = round(SHARE * side)
    top, left = round(down * (side - kept)), round(right * (side - kept))
    part = pictures[:, :, top : top + kept, left : left + kept].float()
    larger = functional.interpolate(part, size=(side, side), mode="bilinear", align_corners=False)
    return larger.round_().to(torch.uint8)
