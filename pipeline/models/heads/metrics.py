"""Scores of torchmetrics, imported on use: its import takes longer than torch's, and prediction needs none."""

from __future__ import annotations

from torch import Tensor

from pipeline.config.metrics import METRICS, PredictionKind


def import_torchmetrics() -> None:
    """Import torchmetrics now, so that its import is in no trial's time."""
    import torchmetrics.functional  # noqa: F401


def score_kind(kind: PredictionKind, predictions: Tensor, targets: Tensor) -> dict[str, float]:
    """Return every metric of one kind of predictions, by name."""
    return {
        metric.name: metric.scorers[kind](predictions, targets) for metric in METRICS.values() if kind in metric.scorers
    }


def multilabel_f1(probabilities: Tensor, targets: Tensor) -> Tensor:
    """[L]: the F1 of each label; probabilities [N, L] against int64 [N, L]."""
    from torchmetrics.functional import classification as measures

    return measures.multilabel_f1_score(
        probabilities, targets, probabilities.shape[1], average="none", validate_args=False
    )


def multilabel_accuracy(probabilities: Tensor, targets: Tensor) -> Tensor:
    """[L]: the share of right answers to each label; probabilities [N, L] against int64 [N, L]."""
    from torchmetrics.functional import classification as measures

    return measures.multilabel_accuracy(
        probabilities, targets, probabilities.shape[1], average="none", validate_args=False
    )


def regression_errors(predicted: Tensor, targets: Tensor) -> dict[str, float]:
    """Return every metric of numbers, the root mean squared error, and R2 (0: as good as the mean)."""
    from torchmetrics import functional as measures

    return score_kind("numbers", predicted, targets) | {
        "root_mean_squared_error": float(measures.mean_squared_error(predicted, targets, squared=False)),
        "r2": float(measures.r2_score(predicted, targets)) if len(targets) > 1 else float("nan"),
    }
