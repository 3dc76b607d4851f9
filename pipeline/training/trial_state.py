"""How one trial goes: each epoch's scores, the weights of the best one, and what ends it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from pipeline.config.model import Model
from pipeline.config.schema import MetricName, Training
from pipeline.models.heads import Head
from pipeline.preprocessing import Inputs
from pipeline.training.device import Device
from pipeline.training.engine import FoldData, Member, StateDict, StreamSeeds
from pipeline.training.epoch import EpochResult

PruneCallback = Callable[[Sequence[float]], bool]  # takes the mean score of each epoch so far, the new one last
StopReason = Literal["complete", "patience", "pruned", "diverged"]


@dataclass(frozen=True)
class TrialResult:
    """How a trial went.

    best: the number of epochs (from 1) at which the mean over the folds was best: one for all folds; 0 if none counts.
    states: each fold's weights after that epoch.
    """

    epoch_results: tuple[EpochResult, ...]
    best_epoch: int
    stop_reason: StopReason
    fold_weights: tuple[StateDict, ...]

    @property
    def value(self) -> float:
        """The mean over the folds at the best epoch; NaN where there is none."""
        return self.epoch_results[self.best_epoch - 1].mean_score if self.best_epoch else math.nan


@dataclass(frozen=True)
class PredictionTask:
    """What does not change from trial to trial."""

    inputs: Inputs
    head: Head
    metric: MetricName
    targets: Tensor
    device: Device

    @property
    def maximize(self) -> bool:
        return self.metric != "mean_absolute_error"

    def is_better(self, value: float, reference: float) -> bool:
        """Whether a score is strictly better than another; NaN never is, and anything is better than NaN."""
        return math.isfinite(value) and (
            math.isnan(reference) or (value > reference if self.maximize else value < reference)
        )


@dataclass(frozen=True)
class TrialSpec:
    """What one trial trains on every fold, where its chance comes from, and who may stop it after an epoch."""

    model: Model
    training: Training
    seeds: StreamSeeds
    prune_callback: PruneCallback

    def build_members(self, folds: Sequence[FoldData]) -> list[Member]:
        """One network a fold."""
        return [Member(self.model, self.training, self.seeds, fold_data) for fold_data in folds]


class TrialState:
    """Where a trial is.

    best, states: as in its outcome, so far; ending: none while it runs.
    """

    def __init__(self, task: PredictionTask, spec: TrialSpec) -> None:
        self.task, self.spec = task, spec
        self.epoch_results: list[EpochResult] = []
        self.best_epoch = 0
        self.fold_weights: tuple[StateDict, ...] = ()
        self.stop_reason: StopReason | None = None

    @property
    def result(self) -> TrialResult:
        """How it went; the trial has ended."""
        assert self.stop_reason is not None
        return TrialResult(tuple(self.epoch_results), self.best_epoch, self.stop_reason, self.fold_weights)

    def score_epoch(self, losses: Tensor, predictions: Sequence[Tensor], members: Sequence[Member]) -> EpochResult:
        """What an epoch of its members came to: float [members] losses, and each one's answers."""
        scores = [self._score_fold(*pair) for pair in zip(members, predictions, strict=True)]
        return EpochResult(float(losses.mean()), tuple(scores))

    def _score_fold(self, member: Member, predictions: Tensor) -> float:
        if not bool(predictions.isfinite().all()):
            return math.nan
        targets = self.task.targets[member.data.validation.cpu()]
        return self.task.head.score(self.task.metric, predictions, targets, member.data.target_constants)

    def should_prune(self, epoch_result: EpochResult) -> bool:
        """Whether the judge ends the trial with this epoch, its next."""
        return _is_finite(epoch_result) and self.spec.prune_callback(
            [each.mean_score for each in (*self.epoch_results, epoch_result)]
        )

    def _patience_start(self, training: Training) -> int:
        """The epoch that patience counts from: the best one, or where the backbone's part joins the head."""
        return self.best_epoch if training.finetuning is None else max(self.best_epoch, training.epochs)

    def record_epoch(
        self, epoch_result: EpochResult, is_pruned: bool, get_fold_weights: Callable[[], tuple[StateDict, ...]]
    ) -> None:
        """One epoch more; behind: the judge's word; weights: each fold's, asked for where the epoch is the best."""
        if not _is_finite(epoch_result):
            self.stop_reason = "diverged"
            return
        self.epoch_results.append(epoch_result)
        if self.best_epoch == 0 or self.task.is_better(
            epoch_result.mean_score, self.epoch_results[self.best_epoch - 1].mean_score
        ):
            self.best_epoch, self.fold_weights = len(self.epoch_results), get_fold_weights()
        training = self.spec.training
        if is_pruned:
            self.stop_reason = "pruned"
        elif (
            training.patience is not None
            and len(self.epoch_results) - self._patience_start(training) >= training.patience
        ):
            self.stop_reason = "patience"
        elif len(self.epoch_results) >= training.total_epochs:
            self.stop_reason = "complete"


def _is_finite(epoch_result: EpochResult) -> bool:
    return math.isfinite(epoch_result.train_loss) and math.isfinite(epoch_result.mean_score)
