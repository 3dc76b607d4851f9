"""Activations of the hidden layers on training images, and how much the network uses each node."""

from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.artifact.model_files import TrainedModel
from pipeline.data.examples import RawInputs
from pipeline.models.networks import ACTIVATION_FUNCTIONS, ConvolutionalNetwork, DenseNetwork

MAX_ROWS = 1_500


@dataclass(frozen=True)
class LayerActivations:
    """One hidden layer, or one block of convolutions, on n examples.

    name: such as "hidden layer 1"; unit_name: "node" or "channel"; rows: int64 [n], the examples.
    activations: float32 [n, nodes], of a channel its maximum over the image; usage: float64 [nodes], how much each node
    varies the input of the next layer.
    """

    name: str
    unit_name: str
    rows: NDArray[np.int64]
    activations: NDArray[np.float32]
    usage: NDArray[np.float64]

    def select_most_used(self, count: int) -> list[int]:
        """Return up to `count` nodes, the most used first."""
        return [int(node) for node in np.argsort(-self.usage, kind="stable")[:count]]


@torch.no_grad()
def compute_activations(trained: TrainedModel, inputs: RawInputs, rows: NDArray[np.int64]) -> list[LayerActivations]:
    """Return the hidden layers of a model, of an ensemble's first network, on up to MAX_ROWS evenly spaced rows.

    The usage of a node is the standard deviation of its activation times the norm of its outgoing weights.
    """
    rows = rows[:: -(-len(rows) // MAX_ROWS)]
    network = trained.build_network(trained.networks[0])
    dense = network if isinstance(network, DenseNetwork) else network.dense
    blocks = list(network.blocks.blocks) if isinstance(network, ConvolutionalNetwork) else []
    hidden = list(dense.layers[:-1])
    modules = [*blocks, *(dense.norms or hidden)]
    if not modules:
        return []
    recorded: list[list[Tensor]] = [[] for _ in modules]
    activation = ACTIVATION_FUNCTIONS[trained.architecture.model.activation]

    def record(index: int, _module: nn.Module, _inputs: object, pre_activations: Tensor) -> None:
        activations = activation(pre_activations)
        recorded[index].append(activations.amax((2, 3)) if activations.dim() == 4 else activations)

    for index, module in enumerate(modules):
        module.register_forward_hook(partial(record, index))
    for batch in trained.batches(trained.networks[0], inputs.take(rows)):
        network(batch)
    next_weights = [cast(Tensor, module.weight) for module in (*blocks, *dense.layers)][1:]
    names = [f"block {index}" for index, _ in enumerate(blocks, 1)]
    names += [f"hidden layer {index}" for index, _ in enumerate(hidden, 1)]
    return [
        _build_layer(name, rows, torch.cat(batches), weights)
        for name, batches, weights in zip(names, recorded, next_weights, strict=True)
    ]


def _build_layer(name: str, rows: NDArray[np.int64], activations: Tensor, next_weights: Tensor) -> LayerActivations:
    """Return a layer; next_weights: [nodes of the next layer, nodes, ...]."""
    weight_norms = next_weights.transpose(0, 1).flatten(1).norm(dim=1)
    usage = (activations.std(dim=0, correction=0) * weight_norms).double().numpy()
    return LayerActivations(name, "channel" if name.startswith("block") else "node", rows, activations.numpy(), usage)
