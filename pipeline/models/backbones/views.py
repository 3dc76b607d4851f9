"""The views of an image that a frozen backbone reads: the image, crops, and their mirror images."""

import torch
from torch import Tensor
from torch.nn import functional

CROP_SHARE = 0.8  # of the image's side
CROP_POSITIONS = ((0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0))  # down, right: the center, then corners


def apply_view(images: Tensor, view_index: int) -> Tensor:
    """Return one view of uint8 [n, 3, S, S] images, of the same shape.

    View 0 is the image, 2 its center crop, 4 to 10 its corner crops; an odd view mirrors the one before.
    """
    crop_number, is_mirrored = divmod(view_index, 2)
    if crop_number:
        down, right = CROP_POSITIONS[(crop_number - 1) % len(CROP_POSITIONS)]
        side = images.shape[-1]
        crop_side = round(CROP_SHARE * side)
        top = round(down * (side - crop_side))
        left = round(right * (side - crop_side))
        crop = images[:, :, top : top + crop_side, left : left + crop_side].float()
        resized = functional.interpolate(crop, size=(side, side), mode="bilinear", align_corners=False)
        images = resized.round_().to(torch.uint8)
    return images.flip(3) if is_mirrored else images
