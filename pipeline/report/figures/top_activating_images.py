"""For each hidden layer, the training pictures that excite its most used nodes: edges, or ears?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.data.examples import Examples, Pictures
from pipeline.report.activations import Layer
from pipeline.report.drawing.figure import Chart, Figure, Gallery
from pipeline.report.heldout_predictions import short, upright

NODES, PICTURES = 5, 6
GREY = 128  # of a place without a picture


def figure(layer: Layer, place: int, pictures: Pictures, examples: Examples) -> Figure:
    """A row of pictures for each of a layer's most used nodes, those that excite it most first; grey where none does.

    pictures: those of all examples, also where the network reads a backbone's outputs; place: the layer's, from 1.
    """
    name, title = f"excite_{place}", f"What excites {layer.name}"
    count, used = layer.nodes.shape[1], _used(layer)[:NODES]
    if not used:
        words = f"None of the {count:,} {layer.node}s of {layer.name} makes any difference between pictures."
        return Figure(name, title, words, Chart("", "", ()))
    rows = {node: _most(layer, node) for node in used}
    wide = max(map(len, rows.values()))
    shown, captions = [], []
    for node, most in rows.items():
        few = wide - len(most)
        found = [upright(pictures, int(row)) for row in most]
        shown += [*found, *[np.full_like(found[0], GREY)] * few]
        captions += [f"{layer.node} {node}: {short(examples.names[row])}" for row in most]
        captions += [f"{layer.node} {node}: no other excites it"] * few
    words = (
        f"The training pictures that excite the {len(used)} most used of {count:,} {layer.node}s of {layer.name} most, "
        f"a row for each; of {len(layer.rows):,} pictures.{_alike(layer, examples)}"
    )
    return Figure(name, title, words, Gallery(tuple(shown), tuple(captions), wide))


def _used(layer: Layer) -> list[int]:
    """The nodes that answer differently to different pictures and are listened to, the most used first."""
    alive = np.ptp(layer.nodes, axis=0) > 0
    return [node for node in layer.most_used(len(alive)) if alive[node] and layer.used[node] > 0]


def _most(layer: Layer, node: int) -> NDArray[np.int64]:
    """The examples that excite a node most; one at which it answers as little as ever does not excite it."""
    answers = layer.nodes[:, node]
    most = np.argsort(-answers, kind="stable")[:PICTURES]
    most = most[answers[most] > answers.min()]
    return np.asarray(layer.rows[most])


def _alike(layer: Layer, examples: Examples) -> str:
    """Whether what excites a node is of one class: how often two of its pictures are, and how often any two are."""
    if examples.kind != "classes" or len(layer.rows) < PICTURES:
        return ""
    classes = examples.targets.astype(np.int64)
    shares = [_pairs(classes[most]) for most in (_most(layer, node) for node in _used(layer)) if len(most) > 1]
    if not shares:
        return ""
    found, chance = float(np.mean(shares)), _pairs(classes[layer.rows])
    return f" Two that excite the same {layer.node} are of one class in {found:.0%} of cases, any two in {chance:.0%}."


def _pairs(classes: NDArray[np.int64]) -> float:
    """The share of pairs that are of one class."""
    counts, rows = np.bincount(classes), len(classes)
    return float((counts * (counts - 1)).sum() / (rows * (rows - 1)))
