"""Calibration curve of the winner: of the predictions with a probability of 80 %, are 80 % right?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.heldout_predictions import ClassPredictions, LabelPredictions
from pipeline.runtime import seeds
from pipeline.runtime.text import pluralize
from pipeline.study.intervals import CONFIDENCE_LEVEL, wilson_interval

N_BINS = 10
N_RESAMPLES = 1_000


class CalibrationBin(NamedTuple):
    """Predictions of about one probability: their number, mean probability, and the share that are true."""

    n_predictions: int
    mean_probability: float
    observed_share: float


def bin_predictions(probabilities: NDArray[np.float64], is_true: NDArray[np.bool_]) -> list[CalibrationBin]:
    """Return the nonempty bins of equal width over 0 to 1; both arrays are [N].

    A probability on an edge belongs to the bin above it, other than in sklearn.calibration.calibration_curve.
    """
    indices = np.minimum((probabilities * N_BINS).astype(int), N_BINS - 1)
    masks = [indices == index for index in np.unique(indices)]
    return [
        CalibrationBin(int(each.sum()), float(probabilities[each].mean()), float(is_true[each].mean()))
        for each in masks
    ]


def expected_calibration_error(bins: list[CalibrationBin]) -> float:
    """Return the mean over the predictions of |share true - mean probability| of their bin.

    Naeini, Cooper, Hauskrecht 2015 (AAAI, 2901); as in Guo et al. 2017 (ICML, arXiv 1706.04599, equation 3).
    """
    total = sum(each.n_predictions * abs(each.observed_share - each.mean_probability) for each in bins)
    return total / sum(each.n_predictions for each in bins)


def chance_calibration_error(bins: list[CalibrationBin]) -> float:
    """Return the 95 % quantile of the error for a perfectly calibrated model, whose few predictions scatter.

    Outcomes are resampled from the probabilities (Broecker and Smith 2007, Weather and Forecasting 22, 651).
    """
    generator = np.random.default_rng(seeds.derive_seed("calibration"))
    counts = np.array([each.n_predictions for each in bins])
    probabilities = np.array([each.mean_probability for each in bins])
    resampled = generator.binomial(counts, np.clip(probabilities, 0, 1), (N_RESAMPLES, len(bins)))
    errors = (np.abs(resampled / counts - probabilities) * counts).sum(axis=1) / counts.sum()
    return float(np.quantile(errors, CONFIDENCE_LEVEL))


def plot_class_calibration(predictions: ClassPredictions) -> Figure:
    """Return the probability of the predicted class against the share of correct predictions."""
    bins = bin_predictions(predictions.confidence, predictions.is_correct)
    overconfidence = float(predictions.confidence.mean() - predictions.is_correct.mean())
    return _plot_reliability(bins, overconfidence, "probability of the predicted class", "share of correct predictions")


def plot_label_calibration(predictions: LabelPredictions) -> Figure:
    """Return the probability of each label of each row against the share of rows with the label."""
    bins = bin_predictions(predictions.probabilities.reshape(-1), predictions.actual.reshape(-1))
    confidence = np.maximum(predictions.probabilities, 1 - predictions.probabilities)
    overconfidence = float(confidence.mean() - (predictions.predicted == predictions.actual).mean())
    return _plot_reliability(bins, overconfidence, "probability of a label", "share of rows with the label")


def _plot_reliability(bins: list[CalibrationBin], overconfidence: float, x_title: str, y_title: str) -> Figure:
    """Return the calibration curve; overconfidence: the mean confidence less the accuracy."""
    counts, x, y = zip(*bins, strict=True)
    low, high = zip(*map(wilson_interval, y, counts), strict=True)
    labels = [pluralize(count, "prediction") for count in counts]
    points = Series("winner, with 95 % intervals", "points", x, y, low, high, labels)
    diagonal = Series("perfectly calibrated", "line", [0.0, 1.0], [0.0, 1.0], is_muted=True)
    chart = Chart(x_title, y_title, (diagonal, points))
    return Figure("calibration", "Calibration curve", _format_caption(bins, overconfidence), chart)


def _format_caption(bins: list[CalibrationBin], overconfidence: float) -> str:
    error = expected_calibration_error(bins)
    chance = chance_calibration_error(bins)
    n_predictions = pluralize(sum(each.n_predictions for each in bins), "prediction")
    measured = f"Expected calibration error {error:.3f} over {n_predictions}"
    if error <= chance:
        return f"{measured}: within chance for a perfectly calibrated model (up to {chance:.3f})."
    deviation = "some probabilities are too high and others too low"
    if abs(overconfidence) >= error / 2:
        direction = "above" if overconfidence > 0 else "below"
        deviation = f"the mean confidence is {abs(overconfidence):.2f} {direction} the accuracy"
    return f"{measured}: {deviation}. A perfectly calibrated model would have up to {chance:.3f} by chance."
