"""Clipping of the gradients of a stack: each slot's by the norm over all of its parameters."""

from collections.abc import Sequence

import torch
from torch import Tensor

NORM_EPSILON = 1e-6  # as in torch.nn.utils.clip_grad_norm_


def clip_gradients_(gradients: Sequence[Tensor], max_norm: float) -> None:
    """Scale the gradients of each slot in place to a norm of at most `max_norm`, as torch.nn.utils.clip_grad_norm_.

    gradients: [slots, ...] for each parameter (Pascanu et al. 2013, arXiv:1211.5063).
    """
    parameter_norms = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients]
    norms = torch.linalg.vector_norm(torch.stack(parameter_norms), dim=0)
    scales = (max_norm / (norms + NORM_EPSILON)).clamp_(max=1)
    for gradient in gradients:
        gradient.mul_(scales.view(-1, *[1] * (gradient.dim() - 1)))
