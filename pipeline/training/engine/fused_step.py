"""One training step of many equal dense networks, written out: forward, backward, update, in buffers made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.config.model import ActivationName
from pipeline.config.schema import Training
from pipeline.models.heads import Head
from pipeline.training.engine.matmul import LayerMatmul
from pipeline.training.engine.parameters import StackedTensors, StackParameters, round_up_to_vector

ADAMW_BETAS, ADAMW_EPSILON = (0.9, 0.999), 1e-8
aten = torch.ops.aten


class FusedActivation(NamedTuple):
    """An activation. forward: sums and where to write nodes; backward: delta (in place), sums, nodes."""

    forward: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor, Tensor], object]


def _apply_per_slot(function: Callable[..., object]) -> Callable[..., None]:
    """The function for each slot by itself: with exponentials, the last few numbers of a tensor round differently."""

    def run(*tensors: Tensor) -> None:
        for parts in zip(*tensors, strict=True):
            function(*parts)

    return run


FUSED_ACTIVATIONS: dict[ActivationName, FusedActivation] = {
    "relu": FusedActivation(
        lambda sums, nodes: torch.clamp_min(sums, 0, out=nodes),
        lambda delta, _, nodes: aten.threshold_backward.grad_input(delta, nodes, 0, grad_input=delta),
    ),
    "gelu": FusedActivation(
        _apply_per_slot(lambda sums, nodes: aten.gelu.out(sums, out=nodes)),
        _apply_per_slot(lambda delta, sums, _: aten.gelu_backward.grad_input(delta, sums, grad_input=delta)),
    ),
    "tanh": FusedActivation(
        _apply_per_slot(lambda sums, nodes: torch.tanh(sums, out=nodes)),
        _apply_per_slot(lambda delta, _, nodes: aten.tanh_backward.grad_input(delta, nodes, grad_input=delta)),
    ),
}


@dataclass(frozen=True)
class OptimizerStep:
    """The optimiser's step for slots that have taken equally many steps and are trained alike."""

    training: Training
    values: list[Tensor]
    gradients: list[Tensor]
    first_moments: list[Tensor]
    second_moments: list[Tensor]
    step_counts: list[Tensor]

    @classmethod
    def build_all(
        cls, parameters: StackParameters, slot_runs: Sequence[tuple[slice, Tensor, Training]]
    ) -> list[OptimizerStep]:
        """One for each way of training.

        runs: neighbouring slots, how many steps they have taken (float32 [], counted up by the caller), and how they
        are trained.
        """
        trainings = list(dict.fromkeys(training for _, _, training in slot_runs))
        return [
            cls._build(parameters, training, [run[:2] for run in slot_runs if run[2] == training])
            for training in trainings
        ]

    @classmethod
    def _build(
        cls, parameters: StackParameters, training: Training, slot_runs: Sequence[tuple[slice, Tensor]]
    ) -> OptimizerStep:
        def slot_tensors(stacked: StackedTensors) -> list[Tensor]:
            return [piece for slots, _ in slot_runs for piece in stacked.select_slots(slots)]

        step_counts = [taken for slots, taken in slot_runs for _ in parameters.values.select_slots(slots)]
        return cls(
            training,
            slot_tensors(parameters.values),
            slot_tensors(parameters.gradients),
            slot_tensors(parameters.first_moments),
            slot_tensors(parameters.second_moments),
            step_counts,
        )

    def run(self) -> None:
        """AdamW or plain gradient descent, as `torch.optim` does it with `fused=True`, without its bookkeeping."""
        if self.training.optimizer == "sgd":
            torch._fused_sgd_(
                self.values,
                self.gradients,
                [],
                weight_decay=self.training.weight_decay,
                momentum=0.0,
                lr=self.training.learning_rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=False,
            )
            return
        torch._fused_adamw_(
            self.values,
            self.gradients,
            self.first_moments,
            self.second_moments,
            [],
            self.step_counts,
            lr=self.training.learning_rate,
            beta1=ADAMW_BETAS[0],
            beta2=ADAMW_BETAS[1],
            weight_decay=self.training.weight_decay,
            eps=ADAMW_EPSILON,
            amsgrad=False,
            maximize=False,
        )


class FusedForwardBackward:
    """Forward and backward for some neighbouring slots and one batch size; gradients land in the stack's parameters."""

    def __init__(
        self,
        parameters: StackParameters,
        slots: slice,
        batch_size: int,
        activation: ActivationName,
        head: Head,
        matmul_class: type[LayerMatmul],
    ) -> None:
        self.layer_count, self.batch_size = parameters.layer_count, batch_size
        self.head, self.activation = head, FUSED_ACTIVATIONS[activation]
        values, gradients = parameters.values, parameters.gradients
        weights = [each[slots] for each in values.weights]
        self.matmuls = [
            matmul_class(each, bias[slots].unsqueeze(1), gradient[slots], round_up_to_vector(batch_size))
            for each, bias, gradient in zip(weights, values.biases, gradients.weights, strict=True)
        ]
        self.bias_gradients = [gradient[slots] for gradient in gradients.biases]

        def allocate() -> list[Tensor]:
            return [each.new_zeros(len(each), round_up_to_vector(batch_size), each.shape[1]) for each in weights]

        self.preactivations, self.activations, self.dropped_activations, self.deltas = (
            allocate(),
            allocate(),
            allocate(),
            allocate(),
        )
        self.outputs, self.output_delta = self.preactivations[-1][:, :batch_size], self.deltas[-1][:, :batch_size]

    def run(self, inputs: Tensor, targets: Tensor, dropout_masks: Sequence[Tensor]) -> None:
        """One minibatch; afterwards `outputs` [slots, rows, filled outputs] are its answers.

        inputs: [slots, filled rows, features]; targets: [slots, rows, outputs]; masks: a [slots, rows, nodes] a layer.
        """
        self._forward(inputs, dropout_masks)
        self.head.gradient(self.outputs, targets, self.output_delta)
        for layer in range(self.layer_count - 1, -1, -1):
            matmul, delta = self.matmuls[layer], self.deltas[layer]
            matmul.weight_gradient(delta)
            torch.sum(delta, 1, out=self.bias_gradients[layer])
            if layer == 0:
                return
            input_delta = self.deltas[layer - 1]
            matmul.input_gradient(delta, input_delta)
            if dropout_masks:
                self._apply_mask(input_delta, dropout_masks[layer - 1], input_delta)
            self.activation.backward(input_delta, self.preactivations[layer - 1], self.activations[layer - 1])

    def _forward(self, layer_inputs: Tensor, dropout_masks: Sequence[Tensor]) -> None:
        for layer in range(self.layer_count):
            self.matmuls[layer].forward(layer_inputs, self.preactivations[layer])
            if layer == self.layer_count - 1:
                return
            layer_inputs = self.activations[layer]
            self.activation.forward(self.preactivations[layer], layer_inputs)
            if dropout_masks:
                self._apply_mask(layer_inputs, dropout_masks[layer], self.dropped_activations[layer])
                layer_inputs = self.dropped_activations[layer]

    def _apply_mask(self, activations: Tensor, mask: Tensor, out: Tensor) -> None:
        unpadded = (slice(None), slice(self.batch_size), slice(mask.shape[2]))
        torch.mul(activations[unpadded], mask, out=out[unpadded])
