"""How one trial goes: each epoch's scores, the weights of the best one, and what ends it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from pipeline.config.model import Model
from pipeline.config.schema import Metric, Training
from pipeline.models.heads import Head
from pipeline.preprocessing import Inputs
from pipeline.training.device import Device
from pipeline.training.engine import FoldData, Member, Seeds, State
from pipeline.training.epoch import Epoch

Judge = Callable[[Sequence[float]], bool]  # takes the mean score of each epoch so far, the new one last
Ending = Literal["complete", "patience", "pruned", "diverged"]


@dataclass(frozen=True)
class Outcome:
    """How a trial went.

    best: the number of epochs (from 1) at which the mean over the folds was best: one for all folds; 0 if none counts.
    states: each fold's weights after that epoch.
    """

    epochs: tuple[Epoch, ...]
    best: int
    ending: Ending
    states: tuple[State, ...]

    @property
    def value(self) -> float:
        """The mean over the folds at the best epoch; NaN where there is none."""
        return self.epochs[self.best - 1].mean if self.best else math.nan


@dataclass(frozen=True)
class Task:
    """What does not change from trial to trial."""

    inputs: Inputs
    head: Head
    metric: Metric
    targets: Tensor
    device: Device

    @property
    def maximise(self) -> bool:
        return self.metric != "mean_absolute_error"

    def better(self, value: float, than: float) -> bool:
        """Whether a score is strictly better than another; NaN never is, and anything is better than NaN."""
        return math.isfinite(value) and (math.isnan(than) or (value > than if self.maximise else value < than))


@dataclass(frozen=True)
class Trial:
    """What one trial trains on every fold, where its chance comes from, and who may stop it after an epoch."""

    model: Model
    training: Training
    seeds: Seeds
    judge: Judge

    def members(self, folds: Sequence[FoldData]) -> list[Member]:
        """One network a fold."""
        return [Member(self.model, self.training, self.seeds, data) for data in folds]


class Course:
    """Where a trial is.

    best, states: as in its outcome, so far; ending: none while it runs.
    """

    def __init__(self, task: Task, trial: Trial) -> None:
        self.task, self.trial = task, trial
        self.epochs: list[Epoch] = []
        self.best = 0
        self.states: tuple[State, ...] = ()
        self.ending: Ending | None = None

    @property
    def outcome(self) -> Outcome:
        """How it went; the trial has ended."""
        assert self.ending is not None
        return Outcome(tuple(self.epochs), self.best, self.ending, self.states)

    def score(self, losses: Tensor, answers: Sequence[Tensor], members: Sequence[Member]) -> Epoch:
        """What an epoch of its members came to: float [members] losses, and each one's answers."""
        scores = [self._score(*pair) for pair in zip(members, answers, strict=True)]
        return Epoch(float(losses.mean()), tuple(scores))

    def _score(self, member: Member, answers: Tensor) -> float:
        if not bool(answers.isfinite().all()):
            return math.nan
        truth = self.task.targets[member.data.validation.cpu()]
        return self.task.head.score(self.task.metric, answers, truth, member.data.target_constants)

    def judged(self, epoch: Epoch) -> bool:
        """Whether the judge ends the trial with this epoch, its next."""
        return _finite(epoch) and self.trial.judge([each.mean for each in (*self.epochs, epoch)])

    def _since(self, training: Training) -> int:
        """The epoch that patience counts from: the best one, or where the backbone's part joins the head."""
        return self.best if training.tuning is None else max(self.best, training.epochs)

    def advance(self, epoch: Epoch, behind: bool, weights: Callable[[], tuple[State, ...]]) -> None:
        """One epoch more; behind: the judge's word; weights: each fold's, asked for where the epoch is the best."""
        if not _finite(epoch):
            self.ending = "diverged"
            return
        self.epochs.append(epoch)
        if self.best == 0 or self.task.better(epoch.mean, self.epochs[self.best - 1].mean):
            self.best, self.states = len(self.epochs), weights()
        training = self.trial.training
        if behind:
            self.ending = "pruned"
        elif training.patience is not None and len(self.epochs) - self._since(training) >= training.patience:
            self.ending = "patience"
        elif len(self.epochs) >= training.all_epochs:
            self.ending = "complete"


def _finite(epoch: Epoch) -> bool:
    return math.isfinite(epoch.loss) and math.isfinite(epoch.mean)
