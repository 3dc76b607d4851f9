"""The optimizers: the class of torch that the autograd loop steps, and the kernel that the fused step calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.config.schema import Training
from pipeline.config.search_methods import OPTIMIZERS
from pipeline.training.engine import compat
from pipeline.training.engine.gradient_clipping import clip_gradients_
from pipeline.training.engine.parameters import StackParameters
from pipeline.training.engine.schedule import compute_rate_share
from pipeline.training.engine.weight_average import compute_ema_weight

# The defaults of torch.optim.AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101; the moments: Kingma & Ba 2015).
ADAMW_BETAS = (0.9, 0.999)
ADAMW_EPSILON = 1e-8


def _step_adamw(step: OptimizerStep, learning_rate: float) -> None:
    # Weight decay is decoupled: it shrinks the values by lr * weight_decay before the step of the moments, and enters
    # neither moment (Loshchilov & Hutter 2019, algorithm 2). The empty list is for the maxima of AMSGrad.
    compat.fused_adamw_(
        step.values,
        step.gradients,
        step.first_moments,
        step.second_moments,
        [],
        step.step_counts,
        lr=learning_rate,
        beta1=ADAMW_BETAS[0],
        beta2=ADAMW_BETAS[1],
        weight_decay=step.training.weight_decay,
        eps=ADAMW_EPSILON,
        amsgrad=False,
        maximize=False,
    )


def _step_sgd(step: OptimizerStep, learning_rate: float) -> None:
    # Plain gradient descent: weight decay is added to the gradient (L2), and there are no momentum buffers.
    compat.fused_sgd_(
        step.values,
        step.gradients,
        [],
        weight_decay=step.training.weight_decay,
        momentum=0.0,
        lr=learning_rate,
        dampening=0.0,
        nesterov=False,
        maximize=False,
        is_first_step=False,
    )


# The same update for each optimizer of `config/search_methods.py`, in one call for all slots of a stack.
FUSED_STEPS: Mapping[str, Callable[[OptimizerStep, float], None]] = {"adamw": _step_adamw, "sgd": _step_sgd}


def build_torch_optimizer(param_groups: list[dict[str, Any]], training: Training) -> torch.optim.Optimizer:
    """Return the optimizer of `training.optimizer` over the parameter groups, with torch's fused kernel."""
    optimizer_class: type[torch.optim.AdamW] = getattr(torch.optim, OPTIMIZERS[training.optimizer])
    return optimizer_class(param_groups, lr=training.learning_rate, weight_decay=training.weight_decay, fused=True)


@dataclass(frozen=True)
class SlotRun:
    """Neighbouring slots that step together, with one `Training`.

    step_count: float32 [], the steps of these slots, incremented by the caller; epoch_steps: those of an epoch.
    """

    slots: slice
    step_count: Tensor
    epoch_steps: int
    training: Training

    @property
    def key(self) -> tuple[Training, int]:
        """Return what slots share that are updated in one call: the number of steps too if the update depends on it."""
        depends_on_step = self.training.ema_decay > 0 or not self.training.has_constant_rate
        return self.training, self.epoch_steps if depends_on_step else 0


@dataclass(frozen=True)
class OptimizerStep:
    """The update of all slots that share one `SlotRun.key`: one call, since the kernel takes one learning rate.

    Each list has one tensor for each parameter of each range of slots; averages: none without a running mean.
    clipped_gradients: those of each range of slots, if they are clipped.
    """

    training: Training
    epoch_steps: int
    values: list[Tensor]
    gradients: list[Tensor]
    first_moments: list[Tensor]
    second_moments: list[Tensor]
    step_counts: list[Tensor]
    averages: list[Tensor]
    clipped_gradients: list[list[Tensor]]

    @classmethod
    def build_all(cls, parameters: StackParameters, slot_runs: Sequence[SlotRun]) -> list[OptimizerStep]:
        """Return one step for each distinct `SlotRun.key`."""
        steps: dict[tuple[Training, int], OptimizerStep] = {}
        for run in slot_runs:
            step = steps.setdefault(run.key, cls(run.training, run.epoch_steps, [], [], [], [], [], [], []))
            step.values.extend(parameters.values.select_slots(run.slots))
            step.gradients.extend(parameters.gradients.select_slots(run.slots))
            step.first_moments.extend(parameters.first_moments.select_slots(run.slots))
            step.second_moments.extend(parameters.second_moments.select_slots(run.slots))
            step.step_counts.extend([run.step_count] * (len(step.values) - len(step.step_counts)))
            if run.training.gradient_clip is not None:
                step.clipped_gradients.append(parameters.gradients.select_slots(run.slots))
            if run.training.ema_decay > 0:
                assert parameters.averages is not None
                step.averages.extend(parameters.averages.select_slots(run.slots))
        return list(steps.values())

    def run(self, epoch: int, epoch_step: int) -> None:
        """Update the values from the gradients in place, as `torch.optim` does with `fused=True`, then their means.

        epoch: from 0; epoch_step: from 1, the step of this epoch.
        """
        training = self.training
        step = epoch * self.epoch_steps + epoch_step
        learning_rate = training.learning_rate
        if not training.has_constant_rate:
            learning_rate *= compute_rate_share(training, step - 1, training.epochs * self.epoch_steps)
        if training.gradient_clip is not None:
            for gradients in self.clipped_gradients:
                clip_gradients_(gradients, training.gradient_clip)
        FUSED_STEPS[training.optimizer](self, learning_rate)
        if self.averages:
            compat.foreach_lerp_(self.averages, self.values, compute_ema_weight(training.ema_decay, step))
