"""Pictures changed a little each time they are trained on: mirrored, or moved by a few pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.config.schema import Training
from pipeline.preprocessing.streamed import Streamed


class Augmentation:
    """Flips and shifts pictures of one size, each picture by its own draw; edges are repeated where they move in.

    One gather does both: every combination of flip and shift is a list of the pixels to read, made once.
    """

    def __init__(self, size: int, flip: bool, shift: int, device: torch.device) -> None:
        moves = torch.arange(-shift, shift + 1, device=device)
        places = (torch.arange(size, device=device)[None] + moves[:, None]).clamp(0, size - 1)
        columns = torch.cat([places, places.flip(1)]) if flip else places
        self.pixels = (places[:, None, :, None] * size + columns[None, :, None, :]).reshape(-1, size * size)

    def draw(self, count: int, noise: torch.Generator) -> Tensor:
        """int64 [count]: what is to happen to each of so many pictures."""
        return torch.randint(len(self.pixels), (count,), generator=noise)

    def apply(self, pictures: Tensor, moves: Tensor) -> Tensor:
        """uint8 [n, 3, H, W] to the same, each picture by its own entry of `moves`."""
        index = self.pixels[moves][:, None].expand(-1, pictures.shape[1], -1)
        return pictures.flatten(2).gather(2, index).view_as(pictures)


def augmentation_of(training: Training, inputs: Tensor | Streamed) -> Augmentation | None:
    """The augmentation of uint8 [N, 3, H, W], if a training asks for one."""
    if not (training.flip or training.shift):
        return None
    return Augmentation(inputs.shape[-1], training.flip, training.shift, inputs.device)
