"""The exponential moving average (EMA) of a network's weights, which predicts in place of the latest ones."""

from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from pipeline.models.networks import Network
from pipeline.training.engine import compat
from pipeline.training.engine.interface import Member

# Of a step, with convolutions: the mean looks back on about the latest 50 steps. Chosen by cross-validation on training
# rows alone (bench/LOG.md).
CONV_EMA_DECAY = 0.98
TensorList = tuple[Tensor, ...] | list[Tensor]


def resolve_ema_decay(member: Member) -> float:
    """Return the decay a step of a member's running mean; 0: it has none."""
    default = 0.0 if member.model.convolutions is None else CONV_EMA_DECAY
    return member.training.ema_decay or default


def compute_ema_weight(decay: float, step: int) -> float:
    """Return the weight in the running mean of the weights after a step (from 1).

    It is 1 / step until that falls below 1 - decay: a constant decay would give the first step's weights most of the
    early means.
    """
    return max(1 - decay, 1 / step)


def build_ema(network: Network, decay: float) -> AveragedModel:
    """Return the running mean of a network's parameters and buffers, updated after each step."""

    def update(averages: TensorList, values: TensorList, count: Tensor | int) -> None:
        if averages[0].is_floating_point():
            compat.foreach_lerp_(averages, values, compute_ema_weight(decay, int(count) + 1))
        else:  # the counts of batch normalization
            compat.foreach_copy_(averages, values)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True).requires_grad_(False)
