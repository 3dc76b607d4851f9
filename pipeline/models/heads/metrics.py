"""Scores of torchmetrics, imported on use: its import takes longer than torch's, and prediction needs none."""

from torch import Tensor

from pipeline.config.metrics import METRICS, PredictionKind


def import_torchmetrics() -> None:
    """Import torchmetrics now, so that its import is in no trial's time."""
    import torchmetrics.functional  # noqa: F401


def score_kind(kind: PredictionKind, predictions: Tensor, targets: Tensor) -> dict[str, float]:
    """Return every metric that can score these predictions of one kind, by name."""
    metrics = [
        metric
        for metric in METRICS.values()
        if kind in metric.scorers and not metric.find_violation(predictions, targets)
    ]
    return {metric.name: metric.scorers[kind](predictions, targets) for metric in metrics}


def score_each_label(probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return accuracy and F1 of each label, float [L] each; probabilities [N, L], targets int64 [N, L]."""
    from torchmetrics.functional.classification import multilabel_accuracy, multilabel_f1_score

    n_labels = probabilities.shape[1]
    accuracies = multilabel_accuracy(probabilities, targets, n_labels, average="none", validate_args=False)
    return accuracies, multilabel_f1_score(probabilities, targets, n_labels, average="none", validate_args=False)
