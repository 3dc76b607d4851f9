"""The figures of the winner: its predictions for the held-out test rows, its weights and its activations."""

from pathlib import Path

from pipeline.artifact import model_files
from pipeline.artifact.model_files import TrainedModel
from pipeline.report.activations import compute_activations
from pipeline.report.drawing.figure import Figure
from pipeline.report.figures.calibration import plot_class_calibration, plot_label_calibration
from pipeline.report.figures.confusion import plot_class_confusion, plot_label_confusion
from pipeline.report.figures.first_layer_weights import plot_first_layer_weights
from pipeline.report.figures.residuals import plot_error_histogram, plot_predicted_vs_actual
from pipeline.report.figures.top_activating_images import plot_top_activating_images
from pipeline.report.figures.worst_predictions import plot_worst_predictions
from pipeline.report.heldout_predictions import HeldoutPredictions, predict_heldout
from pipeline.study.problem import Problem


def build_winner_figures(problem: Problem, folder: Path) -> list[Figure]:
    """Return the figures of the model in a study's folder, in the order of the page.

    The test rows are predicted once more, without a score or a choice, so this is no evaluation of the test set. Raises
    ModelError if there is no model.
    """
    trained = model_files.load_trained_model(folder / "model")
    return [*build_prediction_figures(predict_heldout(problem, trained)), *build_layer_figures(problem, trained)]


def build_prediction_figures(heldout: HeldoutPredictions) -> list[Figure]:
    """Return the figures of each kind of prediction that the head gives."""
    kinds = heldout.head.prediction_kinds
    figures = []
    if "classes" in kinds:
        figures += [plot_class_confusion(heldout.class_predictions), plot_class_calibration(heldout.class_predictions)]
    if "labels" in kinds:
        figures += [plot_label_confusion(heldout.label_predictions), plot_label_calibration(heldout.label_predictions)]
    if "numbers" in kinds:
        figures += [plot_predicted_vs_actual(heldout), plot_error_histogram(heldout.number_predictions)]
    return [*figures, *plot_worst_predictions(heldout)]


def build_layer_figures(problem: Problem, trained: TrainedModel) -> list[Figure]:
    """Return the weights of the first layer and the top-activating images of each hidden one; [] for a table."""
    examples = problem.examples
    images = problem.images
    if images is None:
        return []
    layers = compute_activations(trained, examples.inputs, problem.splits.development)
    figures = [plot_top_activating_images(layer, index, images, examples) for index, layer in enumerate(layers, 1)]
    first_layer = plot_first_layer_weights(trained, layers)
    return figures if first_layer is None else [first_layer, *figures]
