"""Lightning around the engine: the device, the precision, one fit a trial, and each epoch's scores to the judge."""

from __future__ import annotations

import gc
import logging
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any, Protocol

import pytorch_lightning as lightning

from pipeline.runtime.signals import Stopped
from pipeline.training.checkpoints import Saved
from pipeline.training.device import Device
from pipeline.training.engine import FoldData, Member, Stack, State, stack
from pipeline.training.trial_state import Course, Outcome, Task, Trial


class Keeper(Protocol):
    """Who keeps what has been trained; asked after every step."""

    def found(self) -> Saved | None:
        """Where an earlier call was interrupted, if it trained these trials."""

    def due(self) -> bool:
        """Whether to save now; raises `Stopped` where training is to stop, after which `save` is called."""

    def save(self, saved: Saved) -> None:
        """Keeps it, in place of what was kept before."""


def search_folds(
    task: Task, folds: Sequence[FoldData], trials: Sequence[Trial], keeper: Keeper | None = None
) -> list[Outcome]:
    """Trains a network a fold for each trial, all side by side in one fit; what an earlier call has done is not redone.

    The trials have networks of one shape. After each epoch a trial's judge sees its mean over the folds; a trial that
    has ended leaves the others at once.
    """
    return race(task, [(trial, folds) for trial in trials], keeper)


def race(
    task: Task, entries: Sequence[tuple[Trial, Sequence[FoldData]]], keeper: Keeper | None = None
) -> list[Outcome]:
    """As `search_folds`, of trials that have data of their own, each of equally many folds."""
    courses = [Course(task, trial) for trial, _ in entries]
    saved = keeper.found() if keeper is not None else None
    if saved is not None:
        saved.restore(courses)
    running = [place for place, course in enumerate(courses) if course.ending is None]
    if running:
        members = [member for place in running for member in courses[place].trial.members(entries[place][1])]
        networks = stack(members, task.inputs, task.head, task.device.precision)
        if saved is not None:
            saved.restore_stack(networks, running)
        first = 0 if saved is None else saved.position[0]
        epochs = range(first, max(courses[place].trial.training.all_epochs for place in running))
        _fit(lambda: _Race(networks, courses, keeper), task.device, epochs)
    return [course.outcome for course in courses]


def refit(task: Task, member: Member, epochs: int, done: Callable[[int], None] = lambda _: None) -> State:
    """Trains one network on all of its training rows for so many epochs, and returns its weights.

    done: told of each epoch, that it is one more.
    """
    networks = stack([member], task.inputs, task.head, task.device.precision)
    _fit(lambda: _Refit(networks, done), task.device, range(epochs))
    return networks.state_dict(0)


class _Fit(lightning.LightningModule):
    """One fit: an epoch of all members is one Lightning batch; the engine steps its own optimisers.

    An epoch of Lightning's own, with its validation, costs 13 ms, a batch a third of one.
    """

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.stack, self.heard_by = stack, signal.getsignal(signal.SIGTERM)

    def configure_optimizers(self) -> None:
        """None of Lightning's: the engine steps its own."""

    def on_train_start(self) -> None:
        """SIGTERM goes on being heard by who heard it before: Lightning, which has taken it over now, exits with 0."""
        if current_thread() is main_thread():
            signal.signal(signal.SIGTERM, self.heard_by)

    def training_step(self, batch: Any, index: int) -> None:
        """An epoch of every member."""
        self.stack.train_epoch(batch)


class _Refit(_Fit):
    """One network that nobody judges."""

    def __init__(self, stack: Stack, done: Callable[[int], None]) -> None:
        super().__init__(stack)
        self.done = done

    def training_step(self, batch: Any, index: int) -> None:
        """An epoch, and the word that it is over."""
        super().training_step(batch, index)
        self.done(1)


class _Race(_Fit):
    """Trials side by side: each is judged after each epoch, and leaves when it has ended."""

    def __init__(self, stack: Stack, courses: Sequence[Course], keeper: Keeper | None) -> None:
        super().__init__(stack)
        self.courses, self.keeper = courses, keeper
        self.running = [course for course in courses if course.ending is None]
        self.folds = len(stack.members) // len(self.running)

    def on_train_batch_start(self, batch: Any, index: int) -> int | None:
        """-1 ends the fit: Lightning takes it so."""
        return None if self.running else -1

    def training_step(self, batch: Any, index: int) -> None:
        """An epoch of every member, and what it came to.

        Until all have been judged no course moves: where it is stopped, the epoch's steps are kept and judged again.
        """
        try:
            losses, answers = self.stack.train_epoch(batch, self._rest), self.stack.validate()
            epochs, behind = [], []
            for place, course in enumerate(self.running):
                own = self._own(place)
                epochs.append(course.score(losses[own], answers[own], self.stack.members[own]))
                behind.append(course.judged(epochs[-1]))
        except Stopped:
            self._save()
            raise
        for place, course in enumerate(self.running):
            course.advance(epochs[place], behind[place], lambda place=place: self._weights(place))  # type: ignore[misc]
        self._leave()

    def _own(self, place: int) -> slice:
        """The members of the running trial at a place."""
        return slice(place * self.folds, (place + 1) * self.folds)

    def _weights(self, place: int) -> tuple[State, ...]:
        return tuple(self.stack.state_dict(place * self.folds + fold) for fold in range(self.folds))

    def _leave(self) -> None:
        """Trials that have ended leave the stack, as long as one stays."""
        staying = [place for place, course in enumerate(self.running) if course.ending is None]
        if 0 < len(staying) < len(self.running):
            self.stack.keep([place * self.folds + fold for place in staying for fold in range(self.folds)])
        self.running = [self.running[place] for place in staying]

    def _rest(self) -> None:
        if self.keeper is not None and self.keeper.due():
            self._save()

    def _save(self) -> None:
        if self.keeper is not None:
            self.keeper.save(Saved.of(self.courses, self.stack, self.folds))


@contextmanager
def swept() -> Iterator[None]:
    """At its end, what the fits inside have set aside is looked at again: at exit, libraries count what is left."""
    try:
        yield
    finally:
        gc.unfreeze()


def _fit(module: Callable[[], _Fit], device: Device, epochs: range) -> None:
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


def _run(module: _Fit, device: Device, epochs: range) -> None:
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
    trainer.fit(module, epochs)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's remarks on hardware and loaders, which are about use that is not ours."""
    for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        yield
