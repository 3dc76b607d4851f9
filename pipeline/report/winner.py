"""The figures that come from the winner: its answers on the held-out test rows, its weights, and the data."""

from __future__ import annotations

from pathlib import Path

from pipeline import model
from pipeline.question import Question
from pipeline.report import calibration, confusion, mistakes, residuals
from pipeline.report.evidence import Evidence, gather
from pipeline.report.figure import Figure


def figures(question: Question, folder: Path) -> list[Figure]:
    """The figures of the model in a study's folder, in the order in which they are read.

    The test rows are answered once more, and nothing is chosen by that: it is no opening of them. Raises ModelError
    where there is no model.
    """
    trained = model.read(folder / "model")
    return answered(gather(question, trained))


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
