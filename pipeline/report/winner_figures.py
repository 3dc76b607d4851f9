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
from pipeline.report.heldout_predictions import Evidence, gather
from pipeline.study.problem import Question


def figures(question: Question, folder: Path) -> list[Figure]:
    """The figures of the model in a study's folder, in the order in which they are read.

    The test rows are answered once more, and nothing is chosen by that: it is no opening of them. Raises ModelError
    where there is no model.
    """
    trained = model_files.read(folder / "model")
    return [*answered(gather(question, trained)), *looked_into(question, trained)]


def answered(evidence: Evidence) -> list[Figure]:
    """What the answers show: right and wrong, how sure, and where."""
    made = []
    if evidence.choices is not None:
        made += [confusion.of_classes(evidence.choices), calibration.of_classes(evidence.choices)]
    if evidence.labels is not None:
        made += [confusion.of_labels(evidence.labels), calibration.of_labels(evidence.labels)]
    if evidence.amounts is not None:
        made += residuals.figures(evidence, evidence.amounts)
    return [*made, *worst_predictions.figures(evidence)]


def looked_into(question: Question, trained: TrainedModel) -> list[Figure]:
    """What the network looks for in pictures, from its first layer to its last hidden one; nothing of a table."""
    if question.pictures is None:
        return []
    layers = activations.layers(trained, question.examples.inputs, question.splits.development)
    first = first_layer_weights.figure(trained, layers)
    examples, pictures = question.examples, question.pictures
    excited = [top_activating_images.figure(layer, place, pictures, examples) for place, layer in enumerate(layers, 1)]
    return [*([] if first is None else [first]), *excited]
