"""Which classes the winner takes for which, and which labels it misses or sees where they are not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.report.drawing.figure import Figure, Grid
from pipeline.report.heldout_predictions import Choices, Labels

MOST_SHOWN, MOST_NAMED = 20, 3
COLUMNS = ("there, found", "there, missed", "not there, seen", "not there, not seen")


def of_classes(choices: Choices) -> Figure:
    """How many rows of each class were called what; of many classes, those most often confused."""
    truth, said, count = _confused(choices)
    kept = _kept(choices, truth, said)
    place = {code: index for index, code in enumerate(kept)}
    values = np.zeros((len(kept), len(kept)))
    for true, answer in zip(choices.truth.tolist(), choices.said.tolist(), strict=True):
        if true in place and answer in place:
            values[place[true], place[answer]] += 1
    names = tuple(choices.classes[code] for code in kept)
    right = int(choices.right.sum())
    words = [f"{right:,} of {len(choices.truth):,} right ({right / len(choices.truth):.3f})."]
    if len(count):
        words.append(f"Most often confused: {', '.join(_named(choices, truth, said, count))}.")
    if len(kept) < len(choices.classes):
        words.append(f"Shown are the {len(kept)} of {len(choices.classes):,} classes with most of it.")
    return Figure("confusion", "What is taken for what", " ".join(words), Grid("answer", "truth", names, names, values))


def _confused(choices: Choices) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The wrong pairs: what it is, what was said, how often; the most frequent first."""
    wrong, classes = ~choices.right, len(choices.classes)
    pairs, count = np.unique(choices.truth[wrong] * classes + choices.said[wrong], return_counts=True)
    order = np.argsort(-count, kind="stable")
    return pairs[order] // classes, pairs[order] % classes, count[order]


def _kept(choices: Choices, truth: NDArray[np.int64], said: NDArray[np.int64]) -> list[int]:
    """The classes that are shown, in order: all, or those of the most frequent wrong pairs, then the first others."""
    if len(choices.classes) <= MOST_SHOWN:
        return list(range(len(choices.classes)))
    confused = np.stack([truth, said], axis=1).reshape(-1).tolist()
    seen = np.unique(choices.truth).tolist()
    return sorted(list(dict.fromkeys([*confused, *seen, *range(MOST_SHOWN)]))[:MOST_SHOWN])


def _named(choices: Choices, truth: NDArray[np.int64], said: NDArray[np.int64], count: NDArray[np.int64]) -> list[str]:
    of = np.bincount(choices.truth, minlength=len(choices.classes))
    named = zip(truth[:MOST_NAMED].tolist(), said.tolist(), count.tolist(), strict=False)
    return [f"{choices.classes[a]} taken for {choices.classes[b]} ({times} of {of[a]})" for a, b, times in named]


def of_labels(labels: Labels) -> Figure:
    """For each label how often it was found, missed, and seen where it is not; of many, those most often wrong."""
    said, truth = labels.said, labels.truth
    cells = [truth & said, truth & ~said, ~truth & said, ~truth & ~said]
    values = np.stack([cell.sum(axis=0) for cell in cells], axis=1).astype(np.float64)
    wrong = values[:, 1] + values[:, 2]
    kept = np.sort(np.argsort(-wrong, kind="stable")[:MOST_SHOWN])
    names = tuple(labels.names[label] for label in kept)
    words = [_exact(labels), _worst(labels, values, int(wrong.argmax()))]
    if len(kept) < len(labels.names):
        words.append(f"Shown are the {len(kept)} of {len(labels.names):,} labels that are most often wrong.")
    return Figure(
        "confusion", "Right and wrong, label by label", " ".join(words), Grid("", "", COLUMNS, names, values[kept])
    )


def _exact(labels: Labels) -> str:
    exact = int((labels.said == labels.truth).all(axis=1).sum())
    return f"Every label right on {exact:,} of {len(labels.truth):,} rows ({exact / len(labels.truth):.3f})."


def _worst(labels: Labels, values: NDArray[np.float64], worst: int) -> str:
    found, missed, seen, rest = values[worst].astype(int).tolist()
    if not missed + seen:
        return "No label is ever wrong."
    return (
        f"Most often wrong: {labels.names[worst]}, missed {missed} times of {found + missed}, and seen {seen} times "
        f"of {seen + rest} where it is not."
    )
