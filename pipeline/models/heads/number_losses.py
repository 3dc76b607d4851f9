"""Losses of a number, and their derivatives; errors are in standard deviations of the training targets."""

from torch import Tensor
from torch.nn import functional

from pipeline.config.heads import LossName

HUBER_DELTA = 1.0  # the default of torch and Keras: errors above one standard deviation count linearly


def mean_loss(kind: LossName, outputs: Tensor, targets: Tensor, quantile: float) -> Tensor:
    """Return the mean loss of outputs and encoded targets, [N] each.

    Sources: Huber 1964, Ann. Math. Stat. 35, 73; Koenker & Bassett 1978, Econometrica 46, 33. The loss of a quantile q
    is max((1 - q) e, -q e) for an error e.
    """
    match kind:
        case "l1":
            return functional.l1_loss(outputs, targets)
        case "l2":
            return functional.mse_loss(outputs, targets)
        case "huber":
            return functional.huber_loss(outputs, targets, delta=HUBER_DELTA)
        case "quantile":
            errors = outputs - targets
            return (0.5 * errors.abs() + (0.5 - quantile) * errors).mean()


def errors_to_derivatives(kind: LossName, errors: Tensor, quantile: float) -> None:
    """Replace errors, outputs - targets, by the derivative of each one's loss, in place."""
    match kind:
        case "l1":
            errors.sign_()
        case "l2":
            errors.mul_(2)
        case "huber":
            errors.clamp_(-HUBER_DELTA, HUBER_DELTA)
        case "quantile":
            errors.sign_().mul_(0.5).add_(0.5 - quantile)
