"""Weights of the first layer as images, if it reads pixels."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.artifact.model_files import TrainedModel
from pipeline.models.convolutional import COLOR_CHANNELS
from pipeline.preprocessing import ImageInputs
from pipeline.report.activations import LayerActivations
from pipeline.report.drawing.figure import Figure, ImageGrid
from pipeline.report.heldout_predictions import make_unique_labels

MAX_NODES = 24
MAX_COLUMNS = 8
MIN_IMAGE_SIDE = 48  # pixels; smaller images of weights are enlarged
SCALE_QUANTILE = 0.995  # of a node's absolute weights: black and white stand for it, beyond outliers
READING_NOTE = "Gray is a weight of 0; light pixels raise the output where it is lighter, and lower it where darker."


def plot_first_layer_weights(trained: TrainedModel, layers: list[LayerActivations]) -> Figure | None:
    """Return an image for each of the most used nodes or kernels of the first layer, or None if it reads no pixels.

    layers: of the same model, the first one first. Without a hidden layer there is an image for each output.
    """
    inputs = trained.architecture.inputs
    if not isinstance(inputs, ImageInputs):
        return None
    convolutions = trained.architecture.model.convolutions
    if convolutions is not None:
        kernel = convolutions.kernel
        title = f"The {kernel} x {kernel} kernels of the first block"
        return _plot_nodes(trained.networks[0].weights["blocks.blocks.0.weight"], layers[0], title)
    weights = trained.networks[0].weights["layers.0.weight"].view(-1, COLOR_CHANNELS, inputs.size, inputs.size)
    if layers:
        return _plot_nodes(weights, layers[0], "Weights of the first layer")
    # of two classes with one output, that output is the second class
    names = make_unique_labels(trained.architecture.head.output_names)[-len(weights) :]
    caption = f"Without a hidden layer, each output weights the pixels by itself. {READING_NOTE}"
    if len(names) > MAX_NODES:
        caption += f" {MAX_NODES} of {len(names):,} classes are shown."
    return _build_figure("Weights of each output", caption, weights[:MAX_NODES], names[:MAX_NODES])


def _plot_nodes(weights: Tensor, layer: LayerActivations, title: str) -> Figure:
    nodes = layer.select_most_used(MAX_NODES)
    captions = tuple(f"{layer.unit_name} {node}" for node in nodes)
    selection = f"the {len(nodes)} most used of {len(weights):,}" if len(nodes) < len(weights) else f"all {len(nodes)}"
    caption = f"The weights of {selection} {layer.unit_name}s, the most used first. {READING_NOTE}"
    return _build_figure(title, caption, weights[nodes], captions)


def _build_figure(title: str, caption: str, weights: Tensor, captions: tuple[str, ...]) -> Figure:
    columns = min(MAX_COLUMNS, max(len(captions), 3))
    return Figure("first_layer", title, caption, ImageGrid(tuple(map(weights_to_image, weights)), captions, columns))


def weights_to_image(weights: Tensor) -> NDArray[np.uint8]:
    """Return float [3, H, W] as uint8 [H, W, 3] on a scale symmetric around 0, which is gray; small ones enlarged."""
    values = weights.double().numpy().transpose(1, 2, 0)
    scale = float(np.quantile(np.abs(values), SCALE_QUANTILE)) or 1.0
    pixels = np.clip(127.5 + 127.5 * values / scale, 0, 255).round().astype(np.uint8)
    zoom = -(-MIN_IMAGE_SIDE // len(pixels))
    return pixels.repeat(zoom, axis=0).repeat(zoom, axis=1)
