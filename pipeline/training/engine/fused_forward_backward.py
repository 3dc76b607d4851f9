"""Forward and backward of many dense networks of one shape, written out without autograd, in preallocated buffers."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.config.model import ActivationName
from pipeline.models.heads import Head
from pipeline.training.engine import compat
from pipeline.training.engine.matmul import LayerMatmul
from pipeline.training.engine.parameters import StackParameters, round_up_to_vector


class FusedActivation(NamedTuple):
    """An activation: forward(preactivations, out); backward(delta in place, preactivations, activations)."""

    forward: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor, Tensor], object]


def _apply_per_slot(function: Callable[..., object]) -> Callable[..., None]:
    """Return a function that applies `function` slot by slot.

    Exponentials of the last few numbers of a tensor, less than a vector, round differently: in one call over all
    slots a member's digits would depend on its slot.
    """

    def run(*tensors: Tensor) -> None:
        for parts in zip(*tensors, strict=True):
            function(*parts)

    return run


FUSED_ACTIVATIONS: dict[ActivationName, FusedActivation] = {
    # Its derivative at 0 is 0, as in autograd; the activations have the signs of the preactivations.
    "relu": FusedActivation(
        lambda sums, nodes: torch.clamp_min(sums, 0, out=nodes),
        lambda delta, _, nodes: compat.threshold_backward_out(delta, nodes, 0, grad_input=delta),
    ),
    "gelu": FusedActivation(
        _apply_per_slot(lambda sums, nodes: compat.gelu_out(sums, out=nodes)),
        _apply_per_slot(lambda delta, sums, _: compat.gelu_backward_out(delta, sums, grad_input=delta)),
    ),
    # 1 - tanh**2 needs the activations alone.
    "tanh": FusedActivation(
        _apply_per_slot(lambda sums, nodes: torch.tanh(sums, out=nodes)),
        _apply_per_slot(lambda delta, _, nodes: compat.tanh_backward_out(delta, nodes, grad_input=delta)),
    ),
}


class FusedForwardBackward:
    """Forward and backward pass of neighbouring slots for one batch size; writes to the gradients of the parameters."""

    def __init__(
        self,
        parameters: StackParameters,
        slots: slice,
        batch_size: int,
        activation: ActivationName,
        head: Head,
        matmul_class: type[LayerMatmul],
    ) -> None:
        self.layer_count = parameters.layer_count
        self.batch_size = batch_size
        self.head = head
        self.activation = FUSED_ACTIVATIONS[activation]
        values = parameters.values
        gradients = parameters.gradients
        weights = [each[slots] for each in values.weights]
        self.matmuls = [
            matmul_class(each, bias[slots].unsqueeze(1), gradient[slots], round_up_to_vector(batch_size))
            for each, bias, gradient in zip(weights, values.biases, gradients.weights, strict=True)
        ]
        self.bias_gradients = [gradient[slots] for gradient in gradients.biases]

        def allocate() -> list[Tensor]:
            return [each.new_zeros(len(each), round_up_to_vector(batch_size), each.shape[1]) for each in weights]

        self.preactivations = allocate()
        self.activations = allocate()
        self.dropped_activations = allocate()  # apart: the backward pass reads the activations before dropout
        self.deltas = allocate()
        self.outputs = self.preactivations[-1][:, :batch_size]
        self.output_delta = self.deltas[-1][:, :batch_size]

    def run(self, inputs: Tensor, targets: Tensor, dropout_masks: Sequence[Tensor]) -> None:
        """Run one minibatch; afterwards `outputs` [slots, rows, padded outputs] holds the networks' outputs.

        inputs: [slots, padded rows, features]; targets: [slots, rows, outputs]; dropout_masks: [slots, rows, nodes] for
        each hidden layer. Padded rows hold old inputs: their deltas are 0, so they add nothing to any gradient.
        """
        self._forward(inputs, dropout_masks)
        self.head.gradient(self.outputs, targets, self.output_delta)
        for layer in range(self.layer_count - 1, -1, -1):
            matmul = self.matmuls[layer]
            delta = self.deltas[layer]
            matmul.weight_gradient(delta)
            torch.sum(delta, 1, out=self.bias_gradients[layer])
            if layer == 0:  # the inputs need no gradient, whose product would be the largest of all
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
        # The mask scales by 1 / (1 - rate) (inverted dropout), and the gradient as the activations.
        unpadded = (slice(None), slice(self.batch_size), slice(mask.shape[2]))
        torch.mul(activations[unpadded], mask, out=out[unpadded])
