"""What chance decides in one epoch of one member, drawn before its first step: the same in every kind of stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.preprocessing.augmentation import Augmentation
from pipeline.runtime.seeds import generator, number
from pipeline.training.engine.interface import Member

LEVELS = 2**16


@dataclass(frozen=True)
class Draws:
    """rows: int64 [n], the training rows in the epoch's order; moves: int64 [n], how each picture is changed.

    read: int64 [n], where the inputs of the rows are read: with several views of each example, in the drawn one.
    masks: for each hidden layer float32 [n, nodes], 0 for a node that dropout silences, otherwise 1 / (1 - share).
    """

    rows: Tensor
    read: Tensor
    moves: Tensor | None
    masks: tuple[Tensor, ...]


def draw(member: Member, epoch: int, augmentation: Augmentation | None, widths: Sequence[int]) -> Draws:
    """The epoch of a member: row order from (study, fold, epoch), the rest from (trial, fold, epoch)."""
    data, seeds, share = member.data, member.seeds, member.model.dropout
    device, count = data.inputs.device, len(data.train)
    order = torch.randperm(count, generator=generator(seeds.study, data.fold, epoch, "order"))
    moves = None
    if augmentation is not None:
        moves = augmentation.draw(count, generator(seeds.trial, data.fold, epoch, "augmentation")).to(device)
    masks: tuple[Tensor, ...] = ()
    if share > 0 and widths:
        bits = np.random.Generator(np.random.SFC64(number(seeds.trial, data.fold, epoch, "dropout")))
        masks = tuple(dropout_mask(count, width, share, bits).to(device) for width in widths)
    rows = data.train[order.to(data.train.device)]
    return Draws(rows, _read(member, epoch, rows), moves, masks)


def _read(member: Member, epoch: int, rows: Tensor) -> Tensor:
    """One view of each row."""
    data = member.data
    if data.views == 1:
        return rows
    noise = generator(member.seeds.trial, data.fold, epoch, "views")
    drawn = torch.randint(data.views, (len(rows),), generator=noise).to(rows.device)
    return rows + (1 + drawn) * len(data.targets)


def dropout_mask(rows: int, width: int, share: float, bits: np.random.Generator) -> Tensor:
    """float32 [rows, width]: 0 for about `share` of the nodes, 1 / (1 - share) for the others; two bytes decide one."""
    words = np.frombuffer(bits.bytes(2 * rows * width), dtype=np.uint16).reshape(rows, width)
    kept = words >= round(share * LEVELS)
    return torch.from_numpy(kept).float().mul_(1 / (1 - share))
