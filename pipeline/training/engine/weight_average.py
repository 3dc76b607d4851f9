"""The exponential moving average (EMA) of a network's weights, by torch's `AveragedModel`."""

from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from pipeline.models.networks import Network
from pipeline.training.engine import compat

EMA_DECAY = 0.98  # a step; the mean looks back on about the latest 50 steps
TensorList = tuple[Tensor, ...] | list[Tensor]


def build_ema(network: Network) -> AveragedModel:
    """Return the running mean of a network's parameters and buffers, updated after each step.

    Chosen for convolutions by cross-validation on training rows alone (bench/LOG.md). The weight of step t is 1 / t
    until that falls below 1 - EMA_DECAY: a constant decay would give the first step's weights most of the early means.
    """

    def update(averages: TensorList, values: TensorList, count: Tensor | int) -> None:
        compat.foreach_lerp_(averages, values, max(1 - EMA_DECAY, 1 / (int(count) + 1)))

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True).requires_grad_(False)
