"""Pictures changed a little each time they are trained on: mirrored, or moved by a few pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.config.schema import Training
from pipeline.preprocessing.streamed import StreamedImages


class Augmentation:
    """Flips and shifts pictures of one size, each picture by its own draw; edges are repeated where they move in.

    One gather does both: every combination of flip and shift is a list of the pixels to read, made once.
    """

    def __init__(self, size: int, flip: bool, shift: int, device: torch.device) -> None:
        offsets = torch.arange(-shift, shift + 1, device=device)
        row_indices = (torch.arange(size, device=device)[None] + offsets[:, None]).clamp(0, size - 1)
        column_indices = torch.cat([row_indices, row_indices.flip(1)]) if flip else row_indices
        self.pixel_indices = (row_indices[:, None, :, None] * size + column_indices[None, :, None, :]).reshape(
            -1, size * size
        )

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """int64 [count]: what is to happen to each of so many pictures."""
        return torch.randint(len(self.pixel_indices), (count,), generator=generator)

    def apply(self, images: Tensor, transform_ids: Tensor) -> Tensor:
        """uint8 [n, 3, H, W] to the same, each picture by its own entry of `moves`."""
        index = self.pixel_indices[transform_ids][:, None].expand(-1, images.shape[1], -1)
        return images.flatten(2).gather(2, index).view_as(images)


def build_augmentation(training: Training, inputs: Tensor | StreamedImages) -> Augmentation | None:
    """The augmentation of uint8 [N, 3, H, W], if a training asks for one."""
    if not (training.flip or training.shift):
        return None
    return Augmentation(inputs.shape[-1], training.flip, training.shift, inputs.device)
