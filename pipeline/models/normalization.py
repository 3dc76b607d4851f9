"""Normalization of a hidden layer's sums before its activation, over the batch or over the layer."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.config.model import Model, NormName

BATCH_NORM_MOMENTUM = 0.1  # as in nn.BatchNorm1d and nn.BatchNorm2d
NORM_EPSILON = 1e-5  # as in these and nn.LayerNorm


class Normalization(nn.Module):
    """A scale and an offset per node, after the normalization of a subclass."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.offset = nn.Parameter(torch.zeros(width))


class BatchNormalization(Normalization):
    """Normalization of each node over the rows of a minibatch (Ioffe & Szegedy 2015, arXiv:1502.03167).

    mean, variance: running statistics, used in evaluation and for a minibatch of one row.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.mean = nn.Buffer(torch.zeros(width))
        self.variance = nn.Buffer(torch.ones(width))

    def forward(self, sums: Tensor) -> Tensor:
        """Map [N, nodes] to [N, nodes]."""
        # The variance of a single row is 0, and torch refuses it in training.
        use_batch = self.training and len(sums) > 1
        tensors = (sums, self.mean, self.variance, self.scale, self.offset)
        return functional.batch_norm(*tensors, use_batch, BATCH_NORM_MOMENTUM, NORM_EPSILON)


class LayerNormalization(Normalization):
    """Normalization of each row over the nodes of the layer (Ba et al. 2016, arXiv:1607.06450)."""

    def forward(self, sums: Tensor) -> Tensor:
        """Map [N, nodes] to [N, nodes]."""
        return functional.layer_norm(sums, self.scale.shape, self.scale, self.offset, NORM_EPSILON)


NORMALIZATIONS: Mapping[NormName, type[Normalization]] = {"batch": BatchNormalization, "layer": LayerNormalization}


def build_norms(model: Model) -> nn.ModuleList:
    """Return a normalization for each hidden layer of a model, or none."""
    if model.norm == "none":
        return nn.ModuleList()
    return nn.ModuleList(NORMALIZATIONS[model.norm](width) for width in model.hidden)


def count_norm_parameters(model: Model) -> int:
    """Count the trainable parameters: a scale and an offset per hidden node."""
    return 0 if model.norm == "none" else 2 * sum(model.hidden)


def norm_tensor_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of `build_norms(model).state_dict()` by name."""
    names = {"none": (), "layer": ("scale", "offset"), "batch": ("scale", "offset", "mean", "variance")}[model.norm]
    return {f"{index}.{name}": (width,) for index, width in enumerate(model.hidden) for name in names}
