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
from pipeline.training.engine.parameters import StackedTensors, StackParameters

# The defaults of torch.optim.AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101; the moments: Kingma & Ba 2015).
ADAMW_BETAS = (0.9, 0.999)
ADAMW_EPSILON = 1e-8


@dataclass(frozen=True)
class OptimizerTensors:
    """The tensors of one fused update; each list has one tensor for each parameter of each range of slots."""

    values: list[Tensor]
    gradients: list[Tensor]
    first_moments: list[Tensor]
    second_moments: list[Tensor]
    step_counts: list[Tensor]


def _step_adamw(tensors: OptimizerTensors, training: Training) -> None:
    # Weight decay is decoupled: it shrinks the values by lr * weight_decay before the step of the moments, and enters
    # neither moment (Loshchilov & Hutter 2019, algorithm 2). The empty list is for the maxima of AMSGrad.
    compat.fused_adamw_(
        tensors.values,
        tensors.gradients,
        tensors.first_moments,
        tensors.second_moments,
        [],
        tensors.step_counts,
        lr=training.learning_rate,
        beta1=ADAMW_BETAS[0],
        beta2=ADAMW_BETAS[1],
        weight_decay=training.weight_decay,
        eps=ADAMW_EPSILON,
        amsgrad=False,
        maximize=False,
    )


def _step_sgd(tensors: OptimizerTensors, training: Training) -> None:
    # Plain gradient descent: weight decay is added to the gradient (L2), and there are no momentum buffers.
    compat.fused_sgd_(
        tensors.values,
        tensors.gradients,
        [],
        weight_decay=training.weight_decay,
        momentum=0.0,
        lr=training.learning_rate,
        dampening=0.0,
        nesterov=False,
        maximize=False,
        is_first_step=False,
    )


# The same update for each optimizer of `config/search_methods.py`, in one call for all slots of a stack.
FUSED_STEPS: Mapping[str, Callable[[OptimizerTensors, Training], None]] = {"adamw": _step_adamw, "sgd": _step_sgd}


def build_torch_optimizer(param_groups: list[dict[str, Any]], training: Training) -> torch.optim.Optimizer:
    """Return the optimizer of `training.optimizer` over the parameter groups, with torch's fused kernel."""
    optimizer_class: type[torch.optim.AdamW] = getattr(torch.optim, OPTIMIZERS[training.optimizer])
    return optimizer_class(param_groups, lr=training.learning_rate, weight_decay=training.weight_decay, fused=True)


@dataclass(frozen=True)
class OptimizerStep:
    """The update of all slots that share one `Training`: one call, since the kernel takes one learning rate."""

    training: Training
    tensors: OptimizerTensors

    @classmethod
    def build_all(
        cls, parameters: StackParameters, slot_runs: Sequence[tuple[slice, Tensor, Training]]
    ) -> list[OptimizerStep]:
        """Return one step for each distinct `Training`.

        slot_runs: neighbouring slots, their step count (float32 [], incremented by the caller) and their training.
        """
        trainings = dict.fromkeys(training for _, _, training in slot_runs)
        return [
            cls._build(parameters, training, [run[:2] for run in slot_runs if run[2] == training])
            for training in trainings
        ]

    @classmethod
    def _build(
        cls, parameters: StackParameters, training: Training, slot_runs: Sequence[tuple[slice, Tensor]]
    ) -> OptimizerStep:
        def select(stacked: StackedTensors) -> list[Tensor]:
            return [tensor for slots, _ in slot_runs for tensor in stacked.select_slots(slots)]

        tensors = OptimizerTensors(
            select(parameters.values),
            select(parameters.gradients),
            select(parameters.first_moments),
            select(parameters.second_moments),
            [step_count for slots, step_count in slot_runs for _ in parameters.values.select_slots(slots)],
        )
        return cls(training, tensors)

    def run(self) -> None:
        """Update the values from the gradients in place, as `torch.optim` does with `fused=True`."""
        FUSED_STEPS[self.training.optimizer](self.tensors, self.training)
