"""Scores that torchmetrics computes. It takes longer to be imported than torch, and who only answers needs none."""

from __future__ import annotations

from torch import Tensor


def prepare() -> None:
    """Imports it now, so that no trial is timed with that."""
    import torchmetrics.functional  # noqa: F401


def f1_of_classes(answers: Tensor, classes: Tensor) -> float:
    """The mean over the classes of their F1; answers [N, C] against classes int64 [N]."""
    from torchmetrics.functional import classification as measures

    count = answers.shape[1]
    return float(measures.multiclass_f1_score(answers, classes, count, average="macro", validate_args=False))


def f1_of_labels(answers: Tensor, truth: Tensor) -> Tensor:
    """[L]: the F1 of each label; probabilities [N, L] against int64 [N, L]."""
    from torchmetrics.functional import classification as measures

    return measures.multilabel_f1_score(answers, truth, answers.shape[1], average="none", validate_args=False)


def macro_f1_of_labels(answers: Tensor, truth: Tensor) -> float:
    """The mean over the labels of their F1; probabilities [N, L] against int64 [N, L]."""
    from torchmetrics.functional import classification as measures

    return float(measures.multilabel_f1_score(answers, truth, answers.shape[1], validate_args=False))


def accuracy_of_labels(answers: Tensor, truth: Tensor) -> Tensor:
    """[L]: the share of right answers to each label; probabilities [N, L] against int64 [N, L]."""
    from torchmetrics.functional import classification as measures

    return measures.multilabel_accuracy(answers, truth, answers.shape[1], average="none", validate_args=False)


def errors(predicted: Tensor, truth: Tensor) -> dict[str, float]:
    """Mean absolute and root mean squared error in the target's unit, and R2 (0: as good as the mean)."""
    from torchmetrics import functional as measures

    return {
        "mean_absolute_error": float(measures.mean_absolute_error(predicted, truth)),
        "root_mean_squared_error": float(measures.mean_squared_error(predicted, truth, squared=False)),
        "r2": float(measures.r2_score(predicted, truth)) if len(truth) > 1 else float("nan"),
    }
