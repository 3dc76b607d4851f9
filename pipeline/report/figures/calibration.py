"""Whether the winner's probabilities can be taken at their word: of what it is 80 % sure, are 80 % right?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.heldout_predictions import Choices, Labels
from pipeline.runtime import seeds
from pipeline.study.intervals import LEVEL, wilson

BINS, DRAWS = 10, 1_000


class Bin(NamedTuple):
    """Answers of about one probability: how many, their mean probability, and the share that came true."""

    answers: int
    said: float
    true: float


def bins(chances: NDArray[np.float64], true: NDArray[np.bool_]) -> list[Bin]:
    """Answers in bins of equal width over 0 to 1, those that hold any; both arrays are [N]."""
    places = np.minimum((chances * BINS).astype(int), BINS - 1)
    kept = [places == place for place in np.unique(places)]
    return [Bin(int(rows.sum()), float(chances[rows].mean()), float(true[rows].mean())) for rows in kept]


def expected_error(found: list[Bin]) -> float:
    """The expected calibration error: the mean over the answers of |share true - mean probability| of their bin.

    Naeini, Cooper, Hauskrecht 2015 (AAAI, 2901); as in Guo et al. 2017 (ICML, arXiv 1706.04599, equation 3).
    """
    return sum(each.answers * abs(each.true - each.said) for each in found) / sum(each.answers for each in found)


def by_chance(found: list[Bin]) -> float:
    """What the error is below in 95 % of cases if every probability is true: few answers scatter.

    Outcomes are drawn again from the probabilities (Broecker and Smith 2007, Weather and Forecasting 22, 651).
    """
    noise = np.random.default_rng(seeds.number("calibration"))
    counts, said = (np.array([each[place] for each in found], dtype=float) for place in (0, 1))
    drawn = noise.binomial(counts.astype(int), np.clip(said, 0, 1), (DRAWS, len(found))) / counts
    errors = (np.abs(drawn - said) * counts).sum(axis=1) / counts.sum()
    return float(np.quantile(errors, LEVEL))


def of_classes(choices: Choices) -> Figure:
    """The probability of the class that is answered, against how often it is right."""
    found = bins(choices.sure, choices.right)
    excess = float(choices.sure.mean() - choices.right.mean())
    return _figure(found, excess, "probability of the answer", "share of right answers")


def of_labels(labels: Labels) -> Figure:
    """The probability of each label of each row, against how often it is there."""
    found = bins(labels.chances.reshape(-1), labels.truth.reshape(-1))
    sure = np.maximum(labels.chances, 1 - labels.chances)
    excess = float(sure.mean() - (labels.said == labels.truth).mean())
    return _figure(found, excess, "probability of a label", "share of rows with the label")


def _figure(found: list[Bin], excess: float, probability: str, share: str) -> Figure:
    """excess: by how much it is surer than right, in the mean."""
    ends = [wilson(each.true, each.answers) for each in found]
    points = Series(
        "winner, with 95 % intervals",
        "points",
        [each.said for each in found],
        [each.true for each in found],
        [low for low, _ in ends],
        [high for _, high in ends],
        [_counted(each.answers) for each in found],
    )
    line = Series("as sure as right", "line", [0.0, 1.0], [0.0, 1.0], quiet=True)
    chart = Chart(probability, share, (line, points))
    return Figure("calibration", "Can its probabilities be believed?", _words(found, excess), chart)


def _words(found: list[Bin], excess: float) -> str:
    error, chance = expected_error(found), by_chance(found)
    measured = f"Expected calibration error {error:.3f} over {_counted(sum(each.answers for each in found))}"
    if error <= chance:
        return f"{measured}: no more than chance gives where every probability is true (up to {chance:.3f})."
    way = "its probabilities are too high in places and too low in others"
    if abs(excess) >= error / 2:
        way = f"on average it is {abs(excess):.2f} {'surer' if excess > 0 else 'less sure'} than it is right"
    return f"{measured}: {way}. Were its probabilities true, chance would give up to {chance:.3f}."


def _counted(answers: int) -> str:
    return f"{answers:,} answer{'s' * (answers != 1)}"
