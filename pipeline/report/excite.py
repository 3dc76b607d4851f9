"""For each hidden layer, the training pictures that excite its most used nodes: edges, or ears?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.data.examples import Examples, Pictures
from pipeline.report.activations import Layer
from pipeline.report.evidence import short, upright
from pipeline.report.figure import Figure, Gallery

NODES, PICTURES = 5, 6


def figure(layer: Layer, place: int, pictures: Pictures, examples: Examples) -> Figure:
    """A row of pictures for each of a layer's most used nodes, those that excite it most first.

    pictures: those of all examples, also where the network reads a backbone's outputs; place: the layer's, from 1.
    """
    used = [node for node in layer.most_used(NODES) if layer.used[node] > 0] or layer.most_used(1)
    shown, captions = [], []
    for node in used:
        for row in _most(layer, node):
            shown.append(upright(pictures, int(row)))
            captions.append(f"{layer.node} {node}: {short(examples.names[row])}")
    count = layer.nodes.shape[1]
    words = (
        f"The training pictures that excite the {len(used)} most used of {count:,} {layer.node}s of {layer.name} most, "
        f"a row for each; of {len(layer.rows):,} pictures.{_alike(layer, examples)}"
    )
    wide = min(PICTURES, len(layer.rows))
    return Figure(f"excite_{place}", f"What excites {layer.name}", words, Gallery(tuple(shown), tuple(captions), wide))


def _most(layer: Layer, node: int) -> NDArray[np.int64]:
    """The examples that excite a node most."""
    return layer.rows[np.argsort(-layer.nodes[:, node], kind="stable")[:PICTURES]]


def _alike(layer: Layer, examples: Examples) -> str:
    """Whether what excites a node is of one class: how often two of its pictures are, and how often any two are."""
    if examples.kind != "classes" or len(layer.rows) < PICTURES:
        return ""
    classes = examples.targets.astype(np.int64)
    nodes = [node for node in layer.most_used(layer.nodes.shape[1]) if layer.used[node] > 0]
    shares = [_pairs(classes[_most(layer, node)]) for node in nodes]
    if not shares:
        return ""
    found, chance = float(np.mean(shares)), _pairs(classes[layer.rows])
    return f" Two that excite the same {layer.node} are of one class in {found:.0%} of cases, any two in {chance:.0%}."


def _pairs(classes: NDArray[np.int64]) -> float:
    """The share of pairs that are of one class."""
    counts, rows = np.bincount(classes), len(classes)
    return float((counts * (counts - 1)).sum() / (rows * (rows - 1)))
