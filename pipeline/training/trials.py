"""Trials in training: their options, the scores of each epoch, pruning and early stopping, and their results."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from pipeline.config.metrics import Metric
from pipeline.config.model import Model
from pipeline.config.schema import Training
from pipeline.models.heads import Head
from pipeline.preprocessing import Inputs
from pipeline.training.device import Device
from pipeline.training.engine import Member, StateDict, StreamSeeds
from pipeline.training.epoch import EpochResult

PruneCallback = Callable[[Sequence[float]], bool]  # from the mean scores of all epochs so far to whether to prune
StopReason = Literal["complete", "patience", "pruned", "diverged"]


@dataclass(frozen=True)
class TrialResult:
    """Result of a trial.

    best_epoch: the epoch (from 1) with the best mean score over the folds; 0 if no score is finite.
    fold_weights: the weights of each fold after that epoch; fold_predictions: those of its validation rows then.
    """

    epoch_results: tuple[EpochResult, ...]
    best_epoch: int
    stop_reason: StopReason
    fold_weights: tuple[StateDict, ...]
    fold_predictions: tuple[Tensor, ...] = ()

    @property
    def value(self) -> float:
        """Return the mean score at the best epoch; NaN if there is none."""
        return self.epoch_results[self.best_epoch - 1].mean_score if self.best_epoch else math.nan


@dataclass(frozen=True)
class PredictionTask:
    """The parts of training that all trials share."""

    inputs: Inputs
    head: Head
    metric: Metric
    targets: Tensor
    device: Device


@dataclass(frozen=True)
class TrialSpec:
    """Model, training options, seeds and pruning of one trial."""

    model: Model
    training: Training
    seeds: StreamSeeds
    prune_callback: PruneCallback


class RunningTrial:
    """State of a trial in training: see `TrialResult`; stop_reason is None while it runs."""

    def __init__(self, task: PredictionTask, spec: TrialSpec) -> None:
        self.task = task
        self.spec = spec
        self.epoch_results: list[EpochResult] = []
        self.best_epoch = 0
        self.fold_weights: tuple[StateDict, ...] = ()
        self.fold_predictions: tuple[Tensor, ...] = ()
        self.stop_reason: StopReason | None = None

    @property
    def result(self) -> TrialResult:
        """Return the result of a trial that has ended."""
        assert self.stop_reason is not None
        best = (self.fold_weights, self.fold_predictions)
        return TrialResult(tuple(self.epoch_results), self.best_epoch, self.stop_reason, *best)

    def score_epoch(self, losses: Tensor, predictions: Sequence[Tensor], members: Sequence[Member]) -> EpochResult:
        """Return the epoch's result from the losses, float [members], and the predictions of each member."""
        scores = [self._score_fold(*pair) for pair in zip(members, predictions, strict=True)]
        return EpochResult(float(losses.mean()), tuple(scores))

    def _score_fold(self, member: Member, predictions: Tensor) -> float:
        if not bool(predictions.isfinite().all()):
            return math.nan
        targets = self.task.targets[member.data.validation.cpu()]
        return self.task.head.score(self.task.metric, predictions, targets, member.data.target_constants)

    def should_prune(self, epoch_result: EpochResult) -> bool:
        """Return whether the callback prunes the trial after this epoch."""
        mean_scores = [each.mean_score for each in (*self.epoch_results, epoch_result)]
        return epoch_result.is_finite and self.spec.prune_callback(mean_scores)

    def record_epoch(self, epoch_result: EpochResult, is_pruned: bool) -> bool:
        """Add an epoch and set the stop reason; return whether it is the best so far."""
        if not epoch_result.is_finite:
            self.stop_reason = "diverged"
            return False
        best_score = self.epoch_results[self.best_epoch - 1].mean_score if self.best_epoch else math.nan
        self.epoch_results.append(epoch_result)
        epochs_done = len(self.epoch_results)
        is_best = self.task.metric.is_better(epoch_result.mean_score, best_score)
        if is_best:
            self.best_epoch = epochs_done
        training = self.spec.training
        # The heads' epochs do not count against a backbone that has only begun to learn.
        patience_start = self.best_epoch if training.finetuning is None else max(self.best_epoch, training.epochs)
        if is_pruned:
            self.stop_reason = "pruned"
        elif training.active_patience is not None and epochs_done - patience_start >= training.active_patience:
            self.stop_reason = "patience"
        elif epochs_done >= training.total_epochs:
            self.stop_reason = "complete"
        return is_best
