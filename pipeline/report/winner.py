"""The figures that come from the winner: its answers on the held-out test rows, its weights, and the data."""

from __future__ import annotations

from pathlib import Path

from pipeline import model
from pipeline.model import TrainedModel
from pipeline.question import Question
from pipeline.report import activations, calibration, confusion, excite, first_layer, mistakes, residuals
from pipeline.report.evidence import Evidence, gather
from pipeline.report.figure import Figure


def figures(question: Question, folder: Path) -> list[Figure]:
    """The figures of the model in a study's folder, in the order in which they are read.

    The test rows are answered once more, and nothing is chosen by that: it is no opening of them. Raises ModelError
    where there is no model.
    """
    trained = model.read(folder / "model")
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
    return [*made, *mistakes.figures(evidence)]


def looked_into(question: Question, trained: TrainedModel) -> list[Figure]:
    """What the network looks for in pictures, from its first layer to its last hidden one; nothing of a table."""
    if question.pictures is None:
        return []
    layers = activations.layers(trained, question.examples.inputs, question.splits.development)
    first = first_layer.figure(trained, layers)
    examples, pictures = question.examples, question.pictures
    excited = [excite.figure(layer, place, pictures, examples) for place, layer in enumerate(layers, 1)]
    return [*([] if first is None else [first]), *excited]
