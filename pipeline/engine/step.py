"""One training step of many equal dense networks, written out: forward, backward, update, in buffers made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.config.schema import Activation, Training
from pipeline.engine.products import Products
from pipeline.heads import Head

BETAS, EPSILON = (0.9, 0.999), 1e-8
VECTOR = 16  # float32 numbers in the widest vector of a processor
aten = torch.ops.aten


def filled(count: int) -> int:
    """The next whole number of vectors.

    Rows and nodes are filled up to it with zeros, which stay exactly 0. So every matrix of every slot begins at an
    aligned address and ends with a whole vector: elsewhere the products and the optimiser round a slot by its place.
    """
    return -(-count // VECTOR) * VECTOR


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


class Numbers:
    """A number for each parameter of each slot: its value, its gradient, or one of AdamW's running means.

    weights: a tensor [slots, nodes, inputs] a layer; biases: [slots, nodes] a layer; nodes are filled up.
    """

    def __init__(self, slots: int, features: int, widths: Sequence[int], device: torch.device) -> None:
        sizes = [features, *map(filled, widths)]
        self.weights = [torch.zeros(slots, nodes, inputs, device=device) for inputs, nodes in pairwise(sizes)]
        self.biases = [torch.zeros(slots, nodes, device=device) for nodes in sizes[1:]]

    def of(self, slots: slice) -> list[Tensor]:
        """The numbers of some slots."""
        return [tensor[slots] for tensor in (*self.weights, *self.biases)]


class Parameters:
    """The parameters of a stack, with their gradients and AdamW's two running means."""

    def __init__(self, slots: int, features: int, widths: Sequence[int], device: torch.device) -> None:
        self.values, self.gradients, self.first_moments, self.second_moments = (
            Numbers(slots, features, widths, device) for _ in range(4)
        )
        self.features, self.widths, self.layers = features, tuple(widths), len(widths)

    def write(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Takes a network's weights, as `network.Dense` names them."""
        for layer, nodes in enumerate(self.widths):
            weight = state[f"layers.{layer}.weight"]
            self.values.weights[layer][slot, :nodes, : weight.shape[1]] = weight
            self.values.biases[layer][slot, :nodes] = state[f"layers.{layer}.bias"]

    def copy(self, slot: int, other: Parameters, from_slot: int) -> None:
        """Takes a network's weights and the optimiser's means of them from another stack."""
        for mine, theirs in (
            (self.values, other.values),
            (self.first_moments, other.first_moments),
            (self.second_moments, other.second_moments),
        ):
            for own, before in zip((*mine.weights, *mine.biases), (*theirs.weights, *theirs.biases), strict=True):
                own[slot] = before[from_slot]

    def kept(self, slot: int) -> dict[str, Tensor]:
        """A copy of a slot's values and of the optimiser's means, on the CPU."""
        kinds = {"values": self.values, "first": self.first_moments, "second": self.second_moments}
        return {
            f"{kind}.{place}": each[slot].cpu().clone()
            for kind, numbers in kinds.items()
            for place, each in enumerate((*numbers.weights, *numbers.biases))
        }

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Takes what `kept` has copied."""
        kinds = {"values": self.values, "first": self.first_moments, "second": self.second_moments}
        for kind, numbers in kinds.items():
            for place, each in enumerate((*numbers.weights, *numbers.biases)):
                each[slot] = state[f"{kind}.{place}"]

    def read(self, slot: int) -> dict[str, Tensor]:
        """A copy of a network's weights, on the CPU."""
        state = {}
        for layer, (inputs, nodes) in enumerate(pairwise((self.features, *self.widths))):
            state[f"layers.{layer}.weight"] = self.values.weights[layer][slot, :nodes, :inputs].cpu().clone()
            state[f"layers.{layer}.bias"] = self.values.biases[layer][slot, :nodes].cpu().clone()
        return state


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
