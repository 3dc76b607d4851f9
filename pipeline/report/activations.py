"""What the nodes of each hidden layer answer to training pictures, and which of them the network uses most."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

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
    """One hidden layer, or block of convolutions, on some rows.

    name: such as "hidden layer 1"; node: what its parts are called; rows: int64 [n], which examples it was shown.
    nodes: float32 [n, nodes], what each node made of each row; of a channel of convolutions its highest point.
    used: float [nodes], how much each node moves what follows.
    """

    name: str
    unit_name: str
    rows: NDArray[np.int64]
    activations: NDArray[np.float32]
    usage: NDArray[np.float64]

    def select_most_used(self, count: int) -> list[int]:
        """The nodes that move most, at most so many."""
        return [int(node) for node in np.argsort(-self.usage, kind="stable")[:count]]


@torch.no_grad()
def compute_activations(trained: TrainedModel, inputs: RawInputs, rows: NDArray[np.int64]) -> list[LayerActivations]:
    """The hidden layers of a model, the first one first, on evenly spaced ones of the given rows.

    A node is used as much as its answers differ from row to row, times the size of the weights that read them.
    """
    rows = rows[:: -(-len(rows) // MAX_ROWS)]
    network = trained.build_network()
    dense = network if isinstance(network, DenseNetwork) else network.dense
    blocks = list(network.blocks.blocks) if isinstance(network, ConvolutionalNetwork) else []
    hidden = list(dense.layers[:-1])
    if not blocks and not hidden:
        return []
    recorded: list[list[Tensor]] = [[] for _ in (*blocks, *hidden)]
    activation = ACTIVATION_FUNCTIONS[trained.architecture.model.activation]

    def record(index: int, _module: nn.Module, _inputs: object, pre_activations: Tensor) -> None:
        activations = activation(pre_activations)
        recorded[index].append(activations.amax((2, 3)) if activations.dim() == 4 else activations)

    for place, module in enumerate((*blocks, *hidden)):
        module.register_forward_hook(partial(record, place))
    for batch in trained.batches(inputs.take(rows)):
        network(batch)
    next_weights = [_get_weight(module) for module in (*blocks, *hidden, dense.layers[-1])][1:]
    names = [f"block {place}" for place, _ in enumerate(blocks, 1)]
    names += [f"hidden layer {place}" for place, _ in enumerate(hidden, 1)]
    return [
        _build_layer(name, rows, torch.cat(answers), reader)
        for name, answers, reader in zip(names, recorded, next_weights, strict=True)
    ]


def _get_weight(module: nn.Module) -> Tensor:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight


def _build_layer(name: str, rows: NDArray[np.int64], activations: Tensor, next_weights: Tensor) -> LayerActivations:
    """reader: [nodes that follow, nodes, ...], the weights that read these nodes."""
    weight_norms = next_weights.transpose(0, 1).flatten(1).norm(dim=1)
    usage = (activations.std(dim=0, correction=0) * weight_norms).double().numpy()
    return LayerActivations(name, "channel" if name.startswith("block") else "node", rows, activations.numpy(), usage)
