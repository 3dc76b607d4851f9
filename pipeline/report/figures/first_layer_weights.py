"""The weights of the first layer as pictures, where it reads pixels: what each node looks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.artifact.model_files import TrainedModel
from pipeline.models.convolutional import COLOURS
from pipeline.preprocessing import PictureInputs
from pipeline.report.activations import Layer
from pipeline.report.drawing.figure import Figure, Gallery
from pipeline.report.heldout_predictions import distinct

MOST, WIDE = 24, 8
SIDE = 48  # pixels, at least, of a picture of weights
FULL = 0.995  # of a node's weights lie between black and white
READ = "Grey is a weight of 0: where it is lighter, light pixels speak for it, and where it is darker, against it."


def figure(trained: TrainedModel, layers: list[Layer]) -> Figure | None:
    """A picture for each of the first layer's most used nodes or kernels; of no hidden layer one for each output.

    layers: of the same model, the first one first. None where no layer reads pixels.
    """
    inputs, model = trained.architecture.inputs, trained.architecture.model
    if not isinstance(inputs, PictureInputs):
        return None
    if model.convolutions is not None:
        kernels = trained.weights["blocks.blocks.0.weight"]
        name, what = f"kernels of {model.convolutions.kernel} x {model.convolutions.kernel}", "first block"
        return _of_nodes(kernels, layers[0], f"The {name} of the {what}")
    weights = trained.weights["layers.0.weight"].view(-1, COLOURS, inputs.size, inputs.size)
    if layers:
        return _of_nodes(weights, layers[0], "What the first layer looks for")
    names = distinct(trained.architecture.head.columns)[-len(weights) :]  # one output of two columns is the second's
    pictures = tuple(map(drawn, weights[:MOST]))
    words = f"With no hidden layer, each answer weighs the pixels by itself. {READ}"
    if len(names) > MOST:
        words += f" Shown are {MOST} of {len(names):,} classes."
    return Figure(
        "first_layer", "What speaks for each answer", words, Gallery(pictures, names[:MOST], _wide(len(pictures)))
    )


def _of_nodes(weights: Tensor, layer: Layer, title: str) -> Figure:
    used = layer.most_used(MOST)
    captions = tuple(f"{layer.node} {node}" for node in used)
    some = f"the {len(used)} most used of {len(weights):,}" if len(used) < len(weights) else f"all {len(used)}"
    words = f"The weights of {some} {layer.node}s, the most used first. {READ}"
    pictures = tuple(drawn(weights[node]) for node in used)
    return Figure("first_layer", title, words, Gallery(pictures, captions, _wide(len(used))))


def _wide(pictures: int) -> int:
    return min(WIDE, max(pictures, 3))


def drawn(weights: Tensor) -> NDArray[np.uint8]:
    """float [3, H, W] as uint8 [H, W, 3]: 0 is grey, and the scale is the same to both sides; small ones enlarged."""
    values = weights.double().numpy().transpose(1, 2, 0)
    full = float(np.quantile(np.abs(values), FULL)) or 1.0
    grey = np.clip(127.5 + 127.5 * values / full, 0, 255).round().astype(np.uint8)
    times = -(-SIDE // len(grey))
    return grey.repeat(times, axis=0).repeat(times, axis=1)
