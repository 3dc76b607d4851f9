"""What the nodes of each hidden layer answer to training pictures, and which of them the network uses most."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.artifact.model_files import TrainedModel
from pipeline.data.examples import Raw
from pipeline.models.networks import ACTIVATIONS, Convolutional, Dense

MOST_ROWS = 1_500


@dataclass(frozen=True)
class Layer:
    """One hidden layer, or block of convolutions, on some rows.

    name: such as "hidden layer 1"; node: what its parts are called; rows: int64 [n], which examples it was shown.
    nodes: float32 [n, nodes], what each node made of each row; of a channel of convolutions its highest point.
    used: float [nodes], how much each node moves what follows.
    """

    name: str
    node: str
    rows: NDArray[np.int64]
    nodes: NDArray[np.float32]
    used: NDArray[np.float64]

    def most_used(self, count: int) -> list[int]:
        """The nodes that move most, at most so many."""
        return [int(node) for node in np.argsort(-self.used, kind="stable")[:count]]


@torch.no_grad()
def layers(trained: TrainedModel, inputs: Raw, rows: NDArray[np.int64]) -> list[Layer]:
    """The hidden layers of a model, the first one first, on evenly spaced ones of the given rows.

    A node is used as much as its answers differ from row to row, times the size of the weights that read them.
    """
    rows = rows[:: -(-len(rows) // MOST_ROWS)]
    network = trained.network()
    dense = network if isinstance(network, Dense) else network.dense
    blocks = list(network.blocks.blocks) if isinstance(network, Convolutional) else []
    hidden = list(dense.layers[:-1])
    if not blocks and not hidden:
        return []
    found: list[list[Tensor]] = [[] for _ in (*blocks, *hidden)]
    act = ACTIVATIONS[trained.architecture.model.activation]

    def hear(place: int, _module: nn.Module, _fed: object, sums: Tensor) -> None:
        answers = act(sums)
        found[place].append(answers.amax((2, 3)) if answers.dim() == 4 else answers)

    for place, module in enumerate((*blocks, *hidden)):
        module.register_forward_hook(partial(hear, place))
    for fed in trained.fed(inputs.take(rows)):
        network(fed)
    readers = [_weight(module) for module in (*blocks, *hidden, dense.layers[-1])][1:]
    names = [f"block {place}" for place, _ in enumerate(blocks, 1)]
    names += [f"hidden layer {place}" for place, _ in enumerate(hidden, 1)]
    return [
        _layer(name, rows, torch.cat(answers), reader)
        for name, answers, reader in zip(names, found, readers, strict=True)
    ]


def _weight(module: nn.Module) -> Tensor:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight


def _layer(name: str, rows: NDArray[np.int64], answers: Tensor, reader: Tensor) -> Layer:
    """reader: [nodes that follow, nodes, ...], the weights that read these nodes."""
    weights = reader.transpose(0, 1).flatten(1).norm(dim=1)
    used = (answers.std(dim=0, correction=0) * weights).double().numpy()
    return Layer(name, "channel" if name.startswith("block") else "node", rows, answers.numpy(), used)
