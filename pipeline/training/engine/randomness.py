"""What chance decides in one epoch of one member, drawn before its first step: the same in every kind of stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.preprocessing.augmentation import Augmentation
from pipeline.runtime.seeds import derive_seed, make_generator
from pipeline.training.engine.interface import Member

DROPOUT_LEVELS = 2**16


@dataclass(frozen=True)
class EpochRandomness:
    """rows: int64 [n], the training rows in the epoch's order; moves: int64 [n], how each picture is changed.

    read: int64 [n], where the inputs of the rows are read: with several views of each example, in the drawn one.
    masks: for each hidden layer float32 [n, nodes], 0 for a node that dropout silences, otherwise 1 / (1 - share).
    """

    rows: Tensor
    input_rows: Tensor
    augmentation_indices: Tensor | None
    dropout_masks: tuple[Tensor, ...]


def draw_epoch_randomness(
    member: Member, epoch: int, augmentation: Augmentation | None, widths: Sequence[int]
) -> EpochRandomness:
    """The epoch of a member: row order from (study, fold, epoch), the rest from (trial, fold, epoch)."""
    data, seeds, dropout_rate = member.data, member.seeds, member.model.dropout
    device, count = data.inputs.device, len(data.train)
    order = torch.randperm(count, generator=make_generator(seeds.study, data.fold, epoch, "order"))
    augmentation_indices = None
    if augmentation is not None:
        augmentation_indices = augmentation.sample(
            count, make_generator(seeds.trial, data.fold, epoch, "augmentation")
        ).to(device)
    dropout_masks: tuple[Tensor, ...] = ()
    if dropout_rate > 0 and widths:
        rng = np.random.Generator(np.random.SFC64(derive_seed(seeds.trial, data.fold, epoch, "dropout")))
        dropout_masks = tuple(draw_dropout_mask(count, width, dropout_rate, rng).to(device) for width in widths)
    rows = data.train[order.to(data.train.device)]
    return EpochRandomness(rows, _draw_view_rows(member, epoch, rows), augmentation_indices, dropout_masks)


def _draw_view_rows(member: Member, epoch: int, rows: Tensor) -> Tensor:
    """One view of each row."""
    data = member.data
    if data.view_count == 1:
        return rows
    view_generator = make_generator(member.seeds.trial, data.fold, epoch, "views")
    view_indices = torch.randint(data.view_count, (len(rows),), generator=view_generator).to(rows.device)
    return rows + (1 + view_indices) * len(data.targets)


def draw_dropout_mask(rows: int, width: int, dropout_rate: float, rng: np.random.Generator) -> Tensor:
    """float32 [rows, width]: 0 for about `share` of the nodes, 1 / (1 - share) for the others; two bytes decide one."""
    random_levels = np.frombuffer(rng.bytes(2 * rows * width), dtype=np.uint16).reshape(rows, width)
    keep_mask = random_levels >= round(dropout_rate * DROPOUT_LEVELS)
    return torch.from_numpy(keep_mask).float().mul_(1 / (1 - dropout_rate))
