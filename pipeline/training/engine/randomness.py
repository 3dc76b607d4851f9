"""The random numbers of one epoch of one member, sampled before its first step: the same in every kind of stack."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.preprocessing.augmentation import Augmentation
from pipeline.runtime.seeds import derive_seed, make_generator
from pipeline.training.engine.interface import Member

DROPOUT_LEVELS = 2**16  # two random bytes an activation: the rate is exact to 1 / 65,536


@dataclass(frozen=True)
class EpochRandomness:
    """The random numbers of one epoch of one member with n training rows.

    rows: int64 [n], the training rows in the order of the epoch.
    input_rows: int64 [n], the rows of the inputs; with several views of each example, that of the sampled view.
    augmentation_indices: int64 [n], the flip and shift of each image.
    dropout_masks: float32 [n, nodes] for each hidden layer, 0 for a dropped activation, otherwise 1 / (1 - rate).
    """

    rows: Tensor
    input_rows: Tensor
    augmentation_indices: Tensor | None
    dropout_masks: tuple[Tensor, ...]


def draw_epoch_randomness(
    member: Member, epoch: int, augmentation: Augmentation | None, widths: Sequence[int]
) -> EpochRandomness:
    """Sample an epoch of a member: the row order from (study, fold, epoch), the rest from (trial, fold, epoch).

    One row order for all trials makes their scores comparable: less of a difference is chance.
    """
    data = member.data
    seeds = member.seeds
    dropout_rate = member.model.dropout
    device = data.inputs.device
    count = len(data.train)
    order = torch.randperm(count, generator=make_generator(seeds.study, data.fold, epoch, "order"))
    augmentation_indices = None
    if augmentation is not None:
        generator = make_generator(seeds.trial, data.fold, epoch, "augmentation")
        augmentation_indices = augmentation.sample(count, generator).to(device)
    dropout_masks: tuple[Tensor, ...] = ()
    if dropout_rate > 0 and widths:
        rng = np.random.Generator(np.random.SFC64(derive_seed(seeds.trial, data.fold, epoch, "dropout")))
        dropout_masks = tuple(draw_dropout_mask(count, width, dropout_rate, rng).to(device) for width in widths)
    rows = data.train[order.to(data.train.device)]
    return EpochRandomness(rows, _draw_view_rows(member, epoch, rows), augmentation_indices, dropout_masks)


def _draw_view_rows(member: Member, epoch: int, rows: Tensor) -> Tensor:
    """Return the input rows of one random view of each row; view v of row i is row i + (1 + v) N of the inputs."""
    data = member.data
    if data.view_count == 1:
        return rows
    view_generator = make_generator(member.seeds.trial, data.fold, epoch, "views")
    view_indices = torch.randint(data.view_count, (len(rows),), generator=view_generator).to(rows.device)
    return rows + (1 + view_indices) * len(data.targets)


def draw_dropout_mask(rows: int, width: int, dropout_rate: float, rng: np.random.Generator) -> Tensor:
    """Return float32 [rows, width]: 0 with probability `dropout_rate`, otherwise 1 / (1 - dropout_rate).

    Inverted dropout (Srivastava et al. 2014): activations keep their mean, so predicting scales nothing.
    """
    random_levels = np.frombuffer(rng.bytes(2 * rows * width), dtype=np.uint16).reshape(rows, width)
    keep_mask = random_levels >= round(dropout_rate * DROPOUT_LEVELS)
    return torch.from_numpy(keep_mask).float().mul_(1 / (1 - dropout_rate))
