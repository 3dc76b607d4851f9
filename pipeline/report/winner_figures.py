"""The figures that come from the winner: its answers on the held-out test rows, its weights, and the data."""

from __future__ import annotations

from pathlib import Path

from pipeline.artifact import model_files
from pipeline.artifact.model_files import TrainedModel
from pipeline.report import activations
from pipeline.report.drawing.figure import Figure
from pipeline.report.figures import (
    calibration,
    confusion,
    first_layer_weights,
    residuals,
    top_activating_images,
    worst_predictions,
)
from pipeline.report.heldout_predictions import HeldoutPredictions, predict_heldout
from pipeline.study.problem import Problem


def build_winner_figures(problem: Problem, folder: Path) -> list[Figure]:
    """The figures of the model in a study's folder, in the order in which they are read.

    The test rows are answered once more, and nothing is chosen by that: it is no opening of them. Raises ModelError
    where there is no model.
    """
    trained = model_files.load_trained_model(folder / "model")
    return [*build_prediction_figures(predict_heldout(problem, trained)), *build_layer_figures(problem, trained)]


def build_prediction_figures(heldout: HeldoutPredictions) -> list[Figure]:
    """What the answers show: right and wrong, how sure, and where."""
    figures = []
    if heldout.class_predictions is not None:
        figures += [
            confusion.plot_class_confusion(heldout.class_predictions),
            calibration.plot_class_calibration(heldout.class_predictions),
        ]
    if heldout.label_predictions is not None:
        figures += [
            confusion.plot_label_confusion(heldout.label_predictions),
            calibration.plot_label_calibration(heldout.label_predictions),
        ]
    if heldout.number_predictions is not None:
        figures += residuals.plot_residuals(heldout, heldout.number_predictions)
    return [*figures, *worst_predictions.plot_worst_predictions(heldout)]


def build_layer_figures(problem: Problem, trained: TrainedModel) -> list[Figure]:
    """What the network looks for in pictures, from its first layer to its last hidden one; nothing of a table."""
    if problem.images is None:
        return []
    layers = activations.compute_activations(trained, problem.examples.inputs, problem.splits.development)
    first_layer = first_layer_weights.plot_first_layer_weights(trained, layers)
    examples, images = problem.examples, problem.images
    top_activating = [
        top_activating_images.plot_top_activating_images(layer, place, images, examples)
        for place, layer in enumerate(layers, 1)
    ]
    return [*([] if first_layer is None else [first_layer]), *top_activating]
