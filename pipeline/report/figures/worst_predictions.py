"""The rows where the winner is most surely wrong, those farthest off, and those where it is least sure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.models.heads import AnyHead
from pipeline.report.drawing.figure import Chart, Figure, Gallery, Series
from pipeline.report.heldout_predictions import Amounts, Choices, Evidence, Labels

MOST = 10


def figures(evidence: Evidence) -> list[Figure]:
    """One or two figures: pictures, or for the rows of a table bars. None of what does not happen."""
    if evidence.choices is not None:
        made = [_wrong_choices(evidence, evidence.choices), _unsure_choices(evidence, evidence.choices)]
    elif evidence.labels is not None:
        made = [_wrong_labels(evidence, evidence.labels), _unsure_labels(evidence, evidence.labels)]
    else:
        assert evidence.amounts is not None
        made = [_farthest(evidence, evidence.amounts)]
    return [figure for figure in made if figure is not None]


def _first(order: NDArray[np.float64], rows: NDArray[np.int64]) -> list[int]:
    """Of the rows those with the smallest numbers, equal ones in order."""
    return [int(row) for row in rows[np.argsort(order[rows], kind="stable")][:MOST]]


def _wrong_choices(evidence: Evidence, choices: Choices) -> Figure | None:
    rows = _first(-choices.sure, np.flatnonzero(~choices.right))
    if not rows:
        return None
    said = [f"{choices.classes[choices.truth[row]]}, said {_answer(choices, row)}" for row in rows]
    worst = f"Most surely wrong: {evidence.named(rows[0])} is {said[0]}."
    count = int((~choices.right).sum())
    return _drawn(
        evidence,
        "mistakes",
        "Most surely wrong",
        f"{worst} {_of(count, len(evidence), 'wrong')}",
        rows,
        said,
        ("probability of the wrong answer", choices.sure[rows].tolist()),
    )


def _unsure_choices(evidence: Evidence, choices: Choices) -> Figure:
    rows = _first(choices.sure, np.arange(len(evidence)))
    said = [f"{_answer(choices, row)}, is {choices.classes[choices.truth[row]]}" for row in rows]
    chance = 1 / len(choices.classes)
    words = (
        f"Least sure: {evidence.named(rows[0])}, said {said[0]}. Knowing nothing would be {chance:.2g} for each class."
    )
    sure = ("probability of its answer", choices.sure[rows].tolist())
    return _drawn(evidence, "unsure", "Least sure", words, rows, said, sure)


def _answer(choices: Choices, row: int) -> str:
    return f"{choices.classes[choices.said[row]]} {choices.sure[row]:.2f}"


def _wrong_labels(evidence: Evidence, labels: Labels) -> Figure | None:
    """Each row with the label that it is most surely wrong about."""
    missed_by = np.where(labels.said != labels.truth, np.abs(labels.chances - labels.truth), 0.0)
    rows = _first(-missed_by.max(axis=1), np.flatnonzero(missed_by.any(axis=1)))
    if not rows:
        return None
    worst = missed_by.argmax(axis=1)
    said = [_label(labels, row, int(worst[row])) for row in rows]
    words = f"Most surely wrong: {evidence.named(rows[0])}: {said[0]}."
    count = _of(int(missed_by.any(axis=1).sum()), len(evidence), "wrong about a label")
    sure = ("how far from the truth", missed_by.max(axis=1)[rows].tolist())
    return _drawn(evidence, "mistakes", "Most surely wrong", f"{words} {count}", rows, said, sure)


def _unsure_labels(evidence: Evidence, labels: Labels) -> Figure:
    """Each row with the label whose probability is nearest to one half."""
    apart = np.abs(labels.chances - 0.5)
    rows, nearest = _first(apart.min(axis=1), np.arange(len(evidence))), apart.argmin(axis=1)
    said = [_label(labels, row, int(nearest[row])) for row in rows]
    words = f"Least sure: {evidence.named(rows[0])}: {said[0]}."
    near = ("probability of the label", [float(labels.chances[row, nearest[row]]) for row in rows])
    return _drawn(evidence, "unsure", "Least sure", words, rows, said, near)


def _label(labels: Labels, row: int, label: int) -> str:
    there = "" if labels.truth[row, label] else "no "
    return f"{there}{labels.names[label]}, said {labels.chances[row, label]:.2f}"


def _farthest(evidence: Evidence, amounts: Amounts) -> Figure:
    rows = _first(-np.abs(amounts.error), np.arange(len(evidence)))
    said = [
        f"{_amount(evidence.head, amounts.truth[row])}, said {_amount(evidence.head, amounts.said[row])}"
        for row in rows
    ]
    words = f"Farthest off: {evidence.named(rows[0])} is {said[0]}."
    title = f"error, said minus true ({amounts.unit})" if amounts.unit else "error, said minus true"
    return _drawn(evidence, "mistakes", "Farthest off", words, rows, said, (title, amounts.error[rows].tolist()))


def _amount(head: AnyHead, value: float) -> str:
    """A number of the target as the head says it."""
    digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{digits} {getattr(head, 'unit', '')}".strip()


def _of(count: int, rows: int, what: str) -> str:
    return f"{count:,} of {rows:,} test rows {'is' if count == 1 else 'are'} {what}."


def _drawn(
    evidence: Evidence,
    name: str,
    title: str,
    words: str,
    rows: list[int],
    said: list[str],
    bars: tuple[str, list[float]],
) -> Figure:
    """Pictures with what was said under them; rows of a table as bars, whose axis and heights are given."""
    if evidence.pictures is not None:
        captions = tuple(f"{words}: {evidence.named(row)}" for row, words in zip(rows, said, strict=True))
        return Figure(name, title, words, Gallery(tuple(map(evidence.picture, rows)), captions))
    axis, heights = bars
    names = list(map(evidence.named, rows))
    series = Series("test rows", "bars", names, heights, labels=said)
    return Figure(name, title, words, Chart("", axis, (series,)))
