"""Image augmentation: random horizontal flips and shifts by a few pixels."""

import torch
from torch import Tensor

from pipeline.config.schema import Training
from pipeline.preprocessing.streamed import StreamedImages


class Augmentation:
    """Random flips and shifts of square images; pixels that a shift uncovers repeat the edge.

    One gather does both: each combination of flip and shift is a list of source pixels, computed once.
    """

    def __init__(self, size: int, flip: bool, shift: int, device: torch.device) -> None:
        offsets = torch.arange(-shift, shift + 1, device=device)
        row_indices = (torch.arange(size, device=device)[None] + offsets[:, None]).clamp(0, size - 1)
        column_indices = torch.cat([row_indices, row_indices.flip(1)]) if flip else row_indices
        pixel_indices = row_indices[:, None, :, None] * size + column_indices[None, :, None, :]
        self.pixel_indices = pixel_indices.reshape(-1, size * size)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw int64 [count] transform numbers, one for each image of a batch."""
        return torch.randint(len(self.pixel_indices), (count,), generator=generator)

    def apply(self, images: Tensor, transform_ids: Tensor) -> Tensor:
        """Transform uint8 [n, 3, H, W] images by int64 [n] numbers that `sample` drew; the shape stays."""
        index = self.pixel_indices[transform_ids][:, None].expand(-1, images.shape[1], -1)
        return images.flatten(2).gather(2, index).view_as(images)


def build_augmentation(training: Training, inputs: Tensor | StreamedImages) -> Augmentation | None:
    """Return the augmentation of uint8 [N, 3, H, W] inputs, or None if the training flips and shifts nothing."""
    if not (training.flip or training.shift):
        return None
    return Augmentation(inputs.shape[-1], training.flip, training.shift, inputs.device)
