"""Whether the winner's probabilities can be taken at their word: of what it is 80 % sure, are 80 % right?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.heldout_predictions import ClassPredictions, LabelPredictions
from pipeline.runtime import seeds
from pipeline.study.intervals import CONFIDENCE_LEVEL, wilson_interval

N_BINS, N_RESAMPLES = 10, 1_000


class CalibrationBin(NamedTuple):
    """Answers of about one probability: how many, their mean probability, and the share that came true."""

    n_predictions: int
    mean_probability: float
    observed_share: float


def bin_predictions(probabilities: NDArray[np.float64], is_true: NDArray[np.bool_]) -> list[CalibrationBin]:
    """Answers in bins of equal width over 0 to 1, those that hold any; both arrays are [N]."""
    bin_indices = np.minimum((probabilities * N_BINS).astype(int), N_BINS - 1)
    bin_masks = [bin_indices == place for place in np.unique(bin_indices)]
    return [
        CalibrationBin(int(rows.sum()), float(probabilities[rows].mean()), float(is_true[rows].mean()))
        for rows in bin_masks
    ]


def expected_calibration_error(bins: list[CalibrationBin]) -> float:
    """The expected calibration error: the mean over the answers of |share true - mean probability| of their bin.

    Naeini, Cooper, Hauskrecht 2015 (AAAI, 2901); as in Guo et al. 2017 (ICML, arXiv 1706.04599, equation 3).
    """
    return sum(each.n_predictions * abs(each.observed_share - each.mean_probability) for each in bins) / sum(
        each.n_predictions for each in bins
    )


def chance_calibration_error(bins: list[CalibrationBin]) -> float:
    """What the error is below in 95 % of cases if every probability is true: few answers scatter.

    Outcomes are drawn again from the probabilities (Broecker and Smith 2007, Weather and Forecasting 22, 651).
    """
    generator = np.random.default_rng(seeds.derive_seed("calibration"))
    counts, probabilities = (np.array([each[place] for each in bins], dtype=float) for place in (0, 1))
    resampled_shares = (
        generator.binomial(counts.astype(int), np.clip(probabilities, 0, 1), (N_RESAMPLES, len(bins))) / counts
    )
    errors = (np.abs(resampled_shares - probabilities) * counts).sum(axis=1) / counts.sum()
    return float(np.quantile(errors, CONFIDENCE_LEVEL))


def plot_class_calibration(predictions: ClassPredictions) -> Figure:
    """The probability of the class that is answered, against how often it is right."""
    bins = bin_predictions(predictions.confidence, predictions.is_correct)
    overconfidence = float(predictions.confidence.mean() - predictions.is_correct.mean())
    return _plot_reliability(bins, overconfidence, "probability of the answer", "share of right answers")


def plot_label_calibration(predictions: LabelPredictions) -> Figure:
    """The probability of each label of each row, against how often it is there."""
    bins = bin_predictions(predictions.probabilities.reshape(-1), predictions.actual.reshape(-1))
    confidence = np.maximum(predictions.probabilities, 1 - predictions.probabilities)
    overconfidence = float(confidence.mean() - (predictions.predicted == predictions.actual).mean())
    return _plot_reliability(bins, overconfidence, "probability of a label", "share of rows with the label")


def _plot_reliability(bins: list[CalibrationBin], overconfidence: float, probability: str, share: str) -> Figure:
    """excess: by how much it is surer than right, in the mean."""
    intervals = [wilson_interval(each.observed_share, each.n_predictions) for each in bins]
    points = Series(
        "winner, with 95 % intervals",
        "points",
        [each.mean_probability for each in bins],
        [each.observed_share for each in bins],
        [low for low, _ in intervals],
        [high for _, high in intervals],
        [_format_count(each.n_predictions) for each in bins],
    )
    line = Series("as sure as right", "line", [0.0, 1.0], [0.0, 1.0], is_muted=True)
    chart = Chart(probability, share, (line, points))
    return Figure("calibration", "Can its probabilities be believed?", _format_caption(bins, overconfidence), chart)


def _format_caption(bins: list[CalibrationBin], overconfidence: float) -> str:
    error, chance = expected_calibration_error(bins), chance_calibration_error(bins)
    measured = f"Expected calibration error {error:.3f} over {_format_count(sum(each.n_predictions for each in bins))}"
    if error <= chance:
        return f"{measured}: no more than chance gives where every probability is true (up to {chance:.3f})."
    deviation = "its probabilities are too high in places and too low in others"
    if abs(overconfidence) >= error / 2:
        deviation = f"on average it is {abs(overconfidence):.2f} {'surer' if overconfidence > 0 else 'less sure'} than it is right"
    return f"{measured}: {deviation}. Were its probabilities true, chance would give up to {chance:.3f}."


def _format_count(count: int) -> str:
    return f"{count:,} answer{'s' * (count != 1)}"
