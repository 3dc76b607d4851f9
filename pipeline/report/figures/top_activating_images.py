"""For each hidden layer, the training images that activate its most used nodes most."""

import numpy as np
from numpy.typing import NDArray

from pipeline.data.examples import Examples, Images
from pipeline.report.activations import LayerActivations
from pipeline.report.drawing.figure import Chart, Figure, ImageGrid
from pipeline.report.heldout_predictions import read_image_hwc, shorten_file_name

MAX_NODES = 5
IMAGES_PER_NODE = 6
PADDING_GRAY = 128  # pixel value of a tile without an image


def plot_top_activating_images(layer: LayerActivations, index: int, images: Images, examples: Examples) -> Figure:
    """Return a row of images for each of a layer's most used nodes, those that activate it most first.

    index: the layer's, from 1; images: those of all examples, also if the network reads a backbone's features. A node
    that fewer images activate has gray tiles instead.
    """
    name = f"excite_{index}"
    title = f"Top-activating images of {layer.name}"
    units = f"{layer.activations.shape[1]:,} {layer.unit_name}s of {layer.name}"
    nodes = _select_used_nodes(layer)[:MAX_NODES]
    if not nodes:
        caption = f"None of the {units} responds differently to different images."
        return Figure(name, title, caption, Chart("", "", ()))
    rows_by_node = {node: _find_top_rows(layer, node) for node in nodes}
    columns = max(map(len, rows_by_node.values()))
    tiles = []
    captions = []
    for node, rows in rows_by_node.items():
        n_missing = columns - len(rows)
        node_images = [read_image_hwc(images, int(row)) for row in rows]
        tiles += [*node_images, *[np.full_like(node_images[0], PADDING_GRAY)] * n_missing]
        captions += [f"{layer.unit_name} {node}: {shorten_file_name(examples.names[row])}" for row in rows]
        captions += [f"{layer.unit_name} {node}: no other image activates it"] * n_missing
    caption = f"Each row: the training images that activate one of the {len(nodes)} most used of {units} most"
    caption += f", out of {len(layer.rows):,} images.{_describe_class_agreement(layer, examples)}"
    return Figure(name, title, caption, ImageGrid(tuple(tiles), tuple(captions), columns))


def _select_used_nodes(layer: LayerActivations) -> list[int]:
    """Return the nodes whose activation varies and which the next layer reads, the most used first."""
    is_varying = np.ptp(layer.activations, axis=0) > 0
    return [node for node in layer.select_most_used(len(is_varying)) if is_varying[node] and layer.usage[node] > 0]


def _find_top_rows(layer: LayerActivations, node: int) -> NDArray[np.int64]:
    """Return the examples with the highest activations of a node, without those at its minimum."""
    activations = layer.activations[:, node]
    order = np.argsort(-activations, kind="stable")[:IMAGES_PER_NODE]
    order = order[activations[order] > activations.min()]
    return np.asarray(layer.rows[order])


def _describe_class_agreement(layer: LayerActivations, examples: Examples) -> str:
    """Return how often two top images of a node share their class, beside any two images; "" without classes."""
    if examples.target_kind != "classes" or len(layer.rows) < IMAGES_PER_NODE:
        return ""
    classes = examples.targets.astype(np.int64)
    top_rows = [_find_top_rows(layer, node) for node in _select_used_nodes(layer)]
    shares = [_same_class_share(classes[rows]) for rows in top_rows if len(rows) > 1]
    if not shares:
        return ""
    chance = _same_class_share(classes[layer.rows])
    pairs = f"Two top images of the same {layer.unit_name} have the same class"
    return f" {pairs} in {float(np.mean(shares)):.0%} of cases, any two in {chance:.0%}."


def _same_class_share(classes: NDArray[np.int64]) -> float:
    """Return the share of pairs that are of one class."""
    counts = np.bincount(classes)
    return float((counts * (counts - 1)).sum() / (len(classes) * (len(classes) - 1)))
