"""Lightning around the engine: the device, the precision, one fit a trial, and each epoch's scores to the judge."""

from __future__ import annotations

import gc
import logging
import math
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import pytorch_lightning as lightning
from torch import Tensor

from pipeline.config.schema import Metric, Model, Training
from pipeline.device import Device
from pipeline.engine import FoldData, Member, Seeds, Stack, State, stack
from pipeline.heads import Head
from pipeline.inputs import Inputs


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to: the mean training loss, and the metric on each fold's validation rows."""

    loss: float
    folds: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the folds."""
        return math.fsum(self.folds) / len(self.folds)


Judge = Callable[[int, Epoch], bool]
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


def search_folds(task: Task, folds: Sequence[FoldData], trials: Sequence[Trial]) -> list[Outcome]:
    """Trains a network a fold for each trial, all side by side in one fit.

    The trials have networks of one shape. After each epoch a trial's judge sees its mean over the folds; a trial that
    has ended leaves the others at once.
    """
    members = [member for trial in trials for member in trial.members(folds)]
    courses = [_Course(task, trial) for trial in trials]
    networks = stack(members, task.inputs, task.head, task.device.precision)
    _fit(lambda: _Race(networks, courses), task.device, max(trial.training.epochs for trial in trials))
    return [course.outcome for course in courses]


def refit(task: Task, member: Member, epochs: int) -> State:
    """Trains one network on all of its training rows for so many epochs, and returns its weights."""
    networks = stack([member], task.inputs, task.head, task.device.precision)
    _fit(lambda: _Fit(networks), task.device, epochs)
    return networks.state_dict(0)


class _Fit(lightning.LightningModule):
    """One fit: an epoch of all members is one Lightning batch; the engine steps its own optimisers.

    An epoch of Lightning's own, with its validation, costs 13 ms, a batch a third of one.
    """

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.stack = stack

    def configure_optimizers(self) -> None:
        """None of Lightning's: the engine steps its own."""

    def training_step(self, batch: Any, index: int) -> None:
        """An epoch of every member."""
        self.stack.train_epoch(index)


class _Race(_Fit):
    """Trials side by side: each is judged after each epoch, and leaves when it has ended."""

    def __init__(self, stack: Stack, courses: Sequence[_Course]) -> None:
        super().__init__(stack)
        self.running = list(courses)

    def on_train_batch_start(self, batch: Any, index: int) -> int | None:
        """-1 ends the fit: Lightning takes it so."""
        return None if self.running else -1

    def training_step(self, batch: Any, index: int) -> None:
        """An epoch of every member, and what it came to."""
        losses, answers = self.stack.train_epoch(index), self.stack.validate()
        folds, staying = len(self.stack.members) // len(self.running), []
        for place, course in enumerate(self.running):
            own = range(place * folds, (place + 1) * folds)
            if course.advance(losses[own.start : own.stop], answers[own.start : own.stop], self.stack, own):
                staying.append(place)
        if len(staying) < len(self.running):
            self.running = [self.running[place] for place in staying]
        if self.running and len(self.stack.members) > folds * len(self.running):
            self.stack.keep([place * folds + fold for place in staying for fold in range(folds)])


class _Course:
    """How a trial goes: each epoch's scores, and the weights of the best one."""

    def __init__(self, task: Task, trial: Trial) -> None:
        self.task, self.trial = task, trial
        self.epochs: list[Epoch] = []
        self.best = 0
        self.states: list[State] = []
        self.ending: Ending = "complete"

    @property
    def outcome(self) -> Outcome:
        return Outcome(tuple(self.epochs), self.best, self.ending, tuple(self.states))

    def advance(self, losses: Tensor, answers: Sequence[Tensor], stack: Stack, places: Sequence[int]) -> bool:
        """One epoch more; whether there is to be another.

        losses, answers: of this trial's members, which have these places in the stack.
        """
        scores = [self._score(stack.members[place], each) for place, each in zip(places, answers, strict=True)]
        epoch = Epoch(float(losses.mean()), tuple(scores))
        if not (math.isfinite(epoch.loss) and math.isfinite(epoch.mean)):
            return self._end("diverged")
        self.epochs.append(epoch)
        if self.best == 0 or self.task.better(epoch.mean, self.epochs[self.best - 1].mean):
            self.best = len(self.epochs)
            self.states = [stack.state_dict(place) for place in places]
        training = self.trial.training
        if self.trial.judge(len(self.epochs), epoch):
            return self._end("pruned")
        if training.patience is not None and len(self.epochs) - self.best >= training.patience:
            return self._end("patience")
        return len(self.epochs) < training.epochs

    def _score(self, member: Member, answers: Tensor) -> float:
        if not bool(answers.isfinite().all()):
            return math.nan
        truth = self.task.targets[member.data.validation.cpu()]
        return self.task.head.score(self.task.metric, answers, truth, member.data.target_constants)

    def _end(self, ending: Ending) -> bool:
        self.ending = ending
        return False


@contextmanager
def swept() -> Iterator[None]:
    """At its end, what the fits inside have set aside is looked at again: at exit, libraries count what is left."""
    try:
        yield
    finally:
        gc.unfreeze()


def _fit(module: Callable[[], _Fit], device: Device, epochs: int) -> None:
    """One Lightning fit, saying nothing and leaving nothing behind.

    A fit leaves cycles, which hold all that it had: they are looked for when nobody else holds it. What is there then
    is set aside, so that neither the next fit's search nor Python's own goes through all the libraries again: that
    took a fifth of a small trial's time.
    """
    try:
        with _quiet():
            _run(module(), device, epochs)
    finally:
        gc.collect()
    gc.freeze()


def _run(module: _Fit, device: Device, epochs: int) -> None:
    """Each of our epochs is a batch of Lightning's only epoch."""
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="gpu" if device.on_gpu else "cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    heard_by = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, range(epochs))
    except SystemExit:  # what Lightning makes of Ctrl-C, and then it hears no other
        signal.signal(signal.SIGINT, heard_by)
        raise KeyboardInterrupt from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's remarks on hardware and loaders, which are about use that is not ours."""
    for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        yield
