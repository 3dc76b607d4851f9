"""Scores of torchmetrics, imported on use: its import takes longer than torch's, and prediction needs none."""

from __future__ import annotations

from torch import Tensor


def import_torchmetrics() -> None:
    """Import torchmetrics now, so that its import is in no trial's time."""
    import torchmetrics.functional  # noqa: F401


def multiclass_macro_f1(probabilities: Tensor, classes: Tensor) -> float:
    """The mean over the classes of their F1; answers [N, C] against classes int64 [N]."""
    from torchmetrics.functional import classification as measures

    class_count = probabilities.shape[1]
    return float(
        measures.multiclass_f1_score(probabilities, classes, class_count, average="macro", validate_args=False)
    )


def multilabel_f1(probabilities: Tensor, targets: Tensor) -> Tensor:
    """[L]: the F1 of each label; probabilities [N, L] against int64 [N, L]."""
    from torchmetrics.functional import classification as measures

    return measures.multilabel_f1_score(
        probabilities, targets, probabilities.shape[1], average="none", validate_args=False
    )


def multilabel_macro_f1(probabilities: Tensor, targets: Tensor) -> float:
    """The mean over the labels of their F1; probabilities [N, L] against int64 [N, L]."""
    from torchmetrics.functional import classification as measures

    return float(measures.multilabel_f1_score(probabilities, targets, probabilities.shape[1], validate_args=False))


def multilabel_accuracy(probabilities: Tensor, targets: Tensor) -> Tensor:
    """[L]: the share of right answers to each label; probabilities [N, L] against int64 [N, L]."""
    from torchmetrics.functional import classification as measures

    return measures.multilabel_accuracy(
        probabilities, targets, probabilities.shape[1], average="none", validate_args=False
    )


def regression_errors(predicted: Tensor, targets: Tensor) -> dict[str, float]:
    """Mean absolute and root mean squared error in the target's unit, and R2 (0: as good as the mean)."""
    from torchmetrics import functional as measures

    return {
        "mean_absolute_error": float(measures.mean_absolute_error(predicted, targets)),
        "root_mean_squared_error": float(measures.mean_squared_error(predicted, targets, squared=False)),
        "r2": float(measures.r2_score(predicted, targets)) if len(targets) > 1 else float("nan"),
    }
