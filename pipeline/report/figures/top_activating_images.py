"""For each hidden layer, the training pictures that excite its most used nodes: edges, or ears?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.data.examples import Examples, Images
from pipeline.report.activations import LayerActivations
from pipeline.report.drawing.figure import Chart, Figure, ImageGrid
from pipeline.report.heldout_predictions import read_image_hwc, shorten_file_name

MAX_NODES, IMAGES_PER_NODE = 5, 6
GRAY_LEVEL = 128  # of a place without a picture


def plot_top_activating_images(layer: LayerActivations, index: int, images: Images, examples: Examples) -> Figure:
    """A row of pictures for each of a layer's most used nodes, those that excite it most first; grey where none does.

    pictures: those of all examples, also where the network reads a backbone's outputs; place: the layer's, from 1.
    """
    name, title = f"excite_{index}", f"What excites {layer.name}"
    count, nodes = layer.activations.shape[1], _select_used_nodes(layer)[:MAX_NODES]
    if not nodes:
        caption = f"None of the {count:,} {layer.unit_name}s of {layer.name} makes any difference between pictures."
        return Figure(name, title, caption, Chart("", "", ()))
    rows = {node: _find_top_rows(layer, node) for node in nodes}
    columns = max(map(len, rows.values()))
    tiles, captions = [], []
    for node, most in rows.items():
        missing = columns - len(most)
        node_images = [read_image_hwc(images, int(row)) for row in most]
        tiles += [*node_images, *[np.full_like(node_images[0], GRAY_LEVEL)] * missing]
        captions += [f"{layer.unit_name} {node}: {shorten_file_name(examples.names[row])}" for row in most]
        captions += [f"{layer.unit_name} {node}: no other excites it"] * missing
    caption = (
        f"The training pictures that excite the {len(nodes)} most used of {count:,} {layer.unit_name}s of {layer.name} most, "
        f"a row for each; of {len(layer.rows):,} pictures.{_describe_class_agreement(layer, examples)}"
    )
    return Figure(name, title, caption, ImageGrid(tuple(tiles), tuple(captions), columns))


def _select_used_nodes(layer: LayerActivations) -> list[int]:
    """The nodes that answer differently to different pictures and are listened to, the most used first."""
    is_varying = np.ptp(layer.activations, axis=0) > 0
    return [node for node in layer.select_most_used(len(is_varying)) if is_varying[node] and layer.usage[node] > 0]


def _find_top_rows(layer: LayerActivations, node: int) -> NDArray[np.int64]:
    """The examples that excite a node most; one at which it answers as little as ever does not excite it."""
    activations = layer.activations[:, node]
    order = np.argsort(-activations, kind="stable")[:IMAGES_PER_NODE]
    order = order[activations[order] > activations.min()]
    return np.asarray(layer.rows[order])


def _describe_class_agreement(layer: LayerActivations, examples: Examples) -> str:
    """Whether what excites a node is of one class: how often two of its pictures are, and how often any two are."""
    if examples.target_kind != "classes" or len(layer.rows) < IMAGES_PER_NODE:
        return ""
    classes = examples.targets.astype(np.int64)
    shares = [
        _same_class_share(classes[most])
        for most in (_find_top_rows(layer, node) for node in _select_used_nodes(layer))
        if len(most) > 1
    ]
    if not shares:
        return ""
    mean_share, chance = float(np.mean(shares)), _same_class_share(classes[layer.rows])
    return f" Two that excite the same {layer.unit_name} are of one class in {mean_share:.0%} of cases, any two in {chance:.0%}."


def _same_class_share(classes: NDArray[np.int64]) -> float:
    """The share of pairs that are of one class."""
    counts, rows = np.bincount(classes), len(classes)
    return float((counts * (counts - 1)).sum() / (rows * (rows - 1)))
