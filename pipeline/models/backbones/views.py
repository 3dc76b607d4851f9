"""The views of a picture that a frozen backbone sees: as it is, mirrored, and closer up."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

CROP_SHARE = 0.8  # of the side of a picture that a closer view keeps
CROP_POSITIONS = (
    (0.5, 0.5),
    (0.0, 0.0),
    (1.0, 1.0),
    (1.0, 0.0),
    (0.0, 1.0),
)  # where it lies: the middle, then each corner


def apply_view(images: Tensor, view_index: int) -> Tensor:
    """uint8 [n, 3, S, S] to the same: 0 as it is, 1 mirrored, 2 and 3 closer up in the middle, 4 and 5 in a corner ...

    Each even one is followed by its mirror image.
    """
    crop_number, is_mirrored = divmod(view_index, 2)
    cropped = _zoom(images, *CROP_POSITIONS[(crop_number - 1) % len(CROP_POSITIONS)]) if crop_number else images
    return cropped.flip(3) if is_mirrored else cropped


def _zoom(images: Tensor, down: float, right: float) -> Tensor:
    """A square part of each picture, as large as the whole was."""
    side = images.shape[-1]
    crop_side = round(CROP_SHARE * side)
    top, left = round(down * (side - crop_side)), round(right * (side - crop_side))
    crop = images[:, :, top : top + crop_side, left : left + crop_side].float()
    resized = functional.interpolate(crop, size=(side, side), mode="bilinear", align_corners=False)
    return resized.round_().to(torch.uint8)
