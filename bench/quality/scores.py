"""Score predictions on test rows by the metrics that the report names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import metrics

from bench.quality.tables import TargetKind

MAIN_METRIC: Mapping[TargetKind, str] = {"classes": "accuracy", "numbers": "mean_absolute_error"}
SECOND_METRIC: Mapping[TargetKind, str] = {"classes": "log_loss", "numbers": "root_mean_squared_error"}
HIGHER_IS_BETTER = ("accuracy", "balanced_accuracy", "r2")


@dataclass(frozen=True)
class Predictions:
    """Answers for N test rows: class names or numbers, and for classes their probabilities [N, classes] with names."""

    answers: NDArray[np.object_] | NDArray[np.float64]
    probabilities: NDArray[np.float64] | None = None
    classes: tuple[str, ...] = ()


def score(answers: pd.Series, predictions: Predictions) -> dict[str, float]:
    """Return the scores by name."""
    if predictions.probabilities is None:
        return _score_numbers(answers.to_numpy(np.float64), predictions)
    labels = sorted(predictions.classes)
    order = [predictions.classes.index(label) for label in labels]
    probabilities = predictions.probabilities[:, order]
    return {
        "accuracy": float(metrics.accuracy_score(answers, predictions.answers)),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(answers, predictions.answers)),
        "log_loss": float(metrics.log_loss(answers, probabilities, labels=labels)),
    }


def _score_numbers(answers: NDArray[np.float64], predictions: Predictions) -> dict[str, float]:
    return {
        "mean_absolute_error": float(metrics.mean_absolute_error(answers, predictions.answers)),
        "root_mean_squared_error": float(metrics.root_mean_squared_error(answers, predictions.answers)),
        "r2": float(metrics.r2_score(answers, predictions.answers)),
    }
