"""One training step of many equal dense networks, written out: forward, backward, update, in buffers made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.config.model import Activation
from pipeline.config.schema import Training
from pipeline.models.heads import Head
from pipeline.training.engine.matmul import Products
from pipeline.training.engine.parameters import Numbers, Parameters, filled

BETAS, EPSILON = (0.9, 0.999), 1e-8
aten = torch.ops.aten


class Slope(NamedTuple):
    """An activation. forward: sums and where to write nodes; backward: delta (in place), sums, nodes."""

    forward: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor, Tensor], object]


def _slotwise(function: Callable[..., object]) -> Callable[..., None]:
    """The function for each slot by itself: with exponentials, the last few numbers of a tensor round differently."""

    def run(*tensors: Tensor) -> None:
        for parts in zip(*tensors, strict=True):
            function(*parts)

    return run


SLOPES: dict[Activation, Slope] = {
    "relu": Slope(
        lambda sums, nodes: torch.clamp_min(sums, 0, out=nodes),
        lambda delta, _, nodes: aten.threshold_backward.grad_input(delta, nodes, 0, grad_input=delta),
    ),
    "gelu": Slope(
        _slotwise(lambda sums, nodes: aten.gelu.out(sums, out=nodes)),
        _slotwise(lambda delta, sums, _: aten.gelu_backward.grad_input(delta, sums, grad_input=delta)),
    ),
    "tanh": Slope(
        _slotwise(lambda sums, nodes: torch.tanh(sums, out=nodes)),
        _slotwise(lambda delta, _, nodes: aten.tanh_backward.grad_input(delta, nodes, grad_input=delta)),
    ),
}


@dataclass(frozen=True)
class Update:
    """The optimiser's step for slots that have taken equally many steps and are trained alike."""

    training: Training
    values: list[Tensor]
    gradients: list[Tensor]
    first_moments: list[Tensor]
    second_moments: list[Tensor]
    taken: list[Tensor]

    @classmethod
    def of(cls, parameters: Parameters, runs: Sequence[tuple[slice, Tensor, Training]]) -> list[Update]:
        """One for each way of training.

        runs: neighbouring slots, how many steps they have taken (float32 [], counted up by the caller), and how they
        are trained.
        """
        trainings = list(dict.fromkeys(training for _, _, training in runs))
        return [
            cls._one(parameters, training, [run[:2] for run in runs if run[2] == training]) for training in trainings
        ]

    @classmethod
    def _one(cls, parameters: Parameters, training: Training, runs: Sequence[tuple[slice, Tensor]]) -> Update:
        def parts(numbers: Numbers) -> list[Tensor]:
            return [piece for slots, _ in runs for piece in numbers.of(slots)]

        counts = [taken for slots, taken in runs for _ in parameters.values.of(slots)]
        return cls(
            training,
            parts(parameters.values),
            parts(parameters.gradients),
            parts(parameters.first_moments),
            parts(parameters.second_moments),
            counts,
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
            self.taken,
            lr=self.training.learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.training.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )


class Pass:
    """Forward and backward for some neighbouring slots and one batch size; gradients land in the stack's parameters."""

    def __init__(
        self,
        parameters: Parameters,
        slots: slice,
        rows: int,
        activation: Activation,
        head: Head,
        products: type[Products],
    ) -> None:
        self.layers, self.rows = parameters.layers, rows
        self.head, self.slope = head, SLOPES[activation]
        values, gradients = parameters.values, parameters.gradients
        weights = [each[slots] for each in values.weights]
        self.products = [
            products(each, bias[slots].unsqueeze(1), gradient[slots], filled(rows))
            for each, bias, gradient in zip(weights, values.biases, gradients.weights, strict=True)
        ]
        self.bias_gradients = [gradient[slots] for gradient in gradients.biases]

        def buffers() -> list[Tensor]:
            return [each.new_zeros(len(each), filled(rows), each.shape[1]) for each in weights]

        self.sums, self.nodes, self.dropped, self.deltas = buffers(), buffers(), buffers(), buffers()
        self.outputs, self.output_delta = self.sums[-1][:, :rows], self.deltas[-1][:, :rows]

    def run(self, inputs: Tensor, targets: Tensor, masks: Sequence[Tensor]) -> None:
        """One minibatch; afterwards `outputs` [slots, rows, filled outputs] are its answers.

        inputs: [slots, filled rows, features]; targets: [slots, rows, outputs]; masks: a [slots, rows, nodes] a layer.
        """
        self._forward(inputs, masks)
        self.head.gradient(self.outputs, targets, self.output_delta)
        for layer in range(self.layers - 1, -1, -1):
            products, delta = self.products[layer], self.deltas[layer]
            products.gradient(delta)
            torch.sum(delta, 1, out=self.bias_gradients[layer])
            if layer == 0:
                return
            below = self.deltas[layer - 1]
            products.below(delta, below)
            if masks:
                self._mask(below, masks[layer - 1], below)
            self.slope.backward(below, self.sums[layer - 1], self.nodes[layer - 1])

    def _forward(self, fed: Tensor, masks: Sequence[Tensor]) -> None:
        for layer in range(self.layers):
            self.products[layer].forward(fed, self.sums[layer])
            if layer == self.layers - 1:
                return
            fed = self.nodes[layer]
            self.slope.forward(self.sums[layer], fed)
            if masks:
                self._mask(fed, masks[layer], self.dropped[layer])
                fed = self.dropped[layer]

    def _mask(self, nodes: Tensor, mask: Tensor, out: Tensor) -> None:
        real = (slice(None), slice(self.rows), slice(mask.shape[2]))
        torch.mul(nodes[real], mask, out=out[real])
