"""Clipping of the gradients of a stack: each slot's by the norm over all of its parameters."""

from collections.abc import Sequence

import torch
from torch import Tensor

NORM_EPSILON = 1e-6  # as in torch.nn.utils.clip_grad_norm_


def clip_gradients_(gradients: Sequence[Tensor], max_norm: float) -> None:
    """Scale the gradients of each slot in place to a norm of at most `max_norm`, as torch.nn.utils.clip_grad_norm_.

    gradients: [slots, ...] for each parameter (Pascanu et al. 2013, arXiv:1211.5063).
    """
    # Slot by slot: a norm over one dimension of all slots adds in another order with another number of slots (49 of
    # 3,000 random stacks), so that a trial would depend on those beside it.
    for slot_gradients in zip(*gradients, strict=True):
        norm = torch.nn.utils.get_total_norm(slot_gradients)
        scale = (max_norm / (norm + NORM_EPSILON)).clamp_(max=1)
        for gradient in slot_gradients:
            gradient.mul_(scale)
