"""The weights of the first layer as pictures, where it reads pixels: what each node looks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.artifact.model_files import TrainedModel
from pipeline.models.convolutional import COLOR_CHANNELS
from pipeline.preprocessing import ImageInputs
from pipeline.report.activations import LayerActivations
from pipeline.report.drawing.figure import Figure, ImageGrid
from pipeline.report.heldout_predictions import make_unique_labels

MAX_NODES, MAX_COLUMNS = 24, 8
MIN_IMAGE_SIDE = 48  # pixels, at least, of a picture of weights
SCALE_QUANTILE = 0.995  # of a node's weights lie between black and white
READING_NOTE = (
    "Grey is a weight of 0: where it is lighter, light pixels speak for it, and where it is darker, against it."
)


def plot_first_layer_weights(trained: TrainedModel, layers: list[LayerActivations]) -> Figure | None:
    """A picture for each of the first layer's most used nodes or kernels; of no hidden layer one for each output.

    layers: of the same model, the first one first. None where no layer reads pixels.
    """
    inputs, model = trained.architecture.inputs, trained.architecture.model
    if not isinstance(inputs, ImageInputs):
        return None
    if model.convolutions is not None:
        kernels = trained.weights["blocks.blocks.0.weight"]
        name, block = f"kernels of {model.convolutions.kernel} x {model.convolutions.kernel}", "first block"
        return _plot_nodes(kernels, layers[0], f"The {name} of the {block}")
    weights = trained.weights["layers.0.weight"].view(-1, COLOR_CHANNELS, inputs.size, inputs.size)
    if layers:
        return _plot_nodes(weights, layers[0], "What the first layer looks for")
    names = make_unique_labels(trained.architecture.head.output_names)[
        -len(weights) :
    ]  # one output of two columns is the second's
    images = tuple(map(weights_to_image, weights[:MAX_NODES]))
    caption = f"With no hidden layer, each answer weighs the pixels by itself. {READING_NOTE}"
    if len(names) > MAX_NODES:
        caption += f" Shown are {MAX_NODES} of {len(names):,} classes."
    return Figure(
        "first_layer",
        "What speaks for each answer",
        caption,
        ImageGrid(images, names[:MAX_NODES], _count_columns(len(images))),
    )


def _plot_nodes(weights: Tensor, layer: LayerActivations, title: str) -> Figure:
    nodes = layer.select_most_used(MAX_NODES)
    captions = tuple(f"{layer.unit_name} {node}" for node in nodes)
    selection = f"the {len(nodes)} most used of {len(weights):,}" if len(nodes) < len(weights) else f"all {len(nodes)}"
    caption = f"The weights of {selection} {layer.unit_name}s, the most used first. {READING_NOTE}"
    images = tuple(weights_to_image(weights[node]) for node in nodes)
    return Figure("first_layer", title, caption, ImageGrid(images, captions, _count_columns(len(nodes))))


def _count_columns(image_count: int) -> int:
    return min(MAX_COLUMNS, max(image_count, 3))


def weights_to_image(weights: Tensor) -> NDArray[np.uint8]:
    """float [3, H, W] as uint8 [H, W, 3]: 0 is grey, and the scale is the same to both sides; small ones enlarged."""
    values = weights.double().numpy().transpose(1, 2, 0)
    scale = float(np.quantile(np.abs(values), SCALE_QUANTILE)) or 1.0
    gray = np.clip(127.5 + 127.5 * values / scale, 0, 255).round().astype(np.uint8)
    zoom = -(-MIN_IMAGE_SIDE // len(gray))
    return gray.repeat(zoom, axis=0).repeat(zoom, axis=1)
