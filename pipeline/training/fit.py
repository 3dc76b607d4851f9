"""Lightning around the engine: the device, the precision, one fit a trial, and each epoch's scores to the judge."""

from __future__ import annotations

import gc
import logging
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import current_thread, main_thread
from typing import Any, Protocol

import pytorch_lightning as lightning

from pipeline.runtime.signals import SearchInterrupted
from pipeline.training.checkpoints import TrialCheckpoint
from pipeline.training.device import Device
from pipeline.training.engine import FoldData, Member, NetworkStack, StateDict, build_stack
from pipeline.training.trial_state import PredictionTask, TrialResult, TrialSpec, TrialState


class CheckpointPolicy(Protocol):
    """Who keeps what has been trained; asked after every step."""

    def load(self) -> TrialCheckpoint | None:
        """Where an earlier call was interrupted, if it trained these trials."""

    def is_due(self) -> bool:
        """Whether to save now; raises `Stopped` where training is to stop, after which `save` is called."""

    def save(self, checkpoint: TrialCheckpoint) -> None:
        """Keeps it, in place of what was kept before."""


def cross_validate_trials(
    task: PredictionTask,
    folds: Sequence[FoldData],
    trials: Sequence[TrialSpec],
    checkpoint_policy: CheckpointPolicy | None = None,
) -> list[TrialResult]:
    """Trains a network a fold for each trial, all side by side in one fit; what an earlier call has done is not redone.

    The trials have networks of one shape. After each epoch a trial's judge sees its mean over the folds; a trial that
    has ended leaves the others at once.
    """
    return fit_trials(task, [(trial, folds) for trial in trials], checkpoint_policy)


def fit_trials(
    task: PredictionTask,
    trials_with_folds: Sequence[tuple[TrialSpec, Sequence[FoldData]]],
    checkpoint_policy: CheckpointPolicy | None = None,
) -> list[TrialResult]:
    """As `search_folds`, of trials that have data of their own, each of equally many folds."""
    trial_states = [TrialState(task, trial) for trial, _ in trials_with_folds]
    checkpoint = checkpoint_policy.load() if checkpoint_policy is not None else None
    if checkpoint is not None:
        checkpoint.restore(trial_states)
    running_indices = [place for place, course in enumerate(trial_states) if course.stop_reason is None]
    if running_indices:
        members = [
            member
            for place in running_indices
            for member in trial_states[place].spec.build_members(trials_with_folds[place][1])
        ]
        network_stack = build_stack(members, task.inputs, task.head, task.device.precision)
        if checkpoint is not None:
            checkpoint.restore_stack(network_stack, running_indices)
        first_epoch = 0 if checkpoint is None else checkpoint.position[0]
        epochs = range(first_epoch, max(trial_states[place].spec.training.total_epochs for place in running_indices))
        _run_fit(lambda: _TrialsModule(network_stack, trial_states, checkpoint_policy), task.device, epochs)
    return [course.result for course in trial_states]


def refit(
    task: PredictionTask, member: Member, epochs: int, progress_callback: Callable[[int], None] = lambda _: None
) -> StateDict:
    """Trains one network on all of its training rows for so many epochs, and returns its weights.

    done: told of each epoch, that it is one more.
    """
    network_stack = build_stack([member], task.inputs, task.head, task.device.precision)
    _run_fit(lambda: _RefitModule(network_stack, progress_callback), task.device, range(epochs))
    return network_stack.state_dict(0)


class _StackModule(lightning.LightningModule):
    """One fit: an epoch of all members is one Lightning batch; the engine steps its own optimisers.

    An epoch of Lightning's own, with its validation, costs 13 ms, a batch a third of one.
    """

    def __init__(self, stack: NetworkStack) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.stack, self.sigterm_handler = stack, signal.getsignal(signal.SIGTERM)

    def configure_optimizers(self) -> None:
        """None of Lightning's: the engine steps its own."""

    def on_train_start(self) -> None:
        """SIGTERM goes on being heard by who heard it before: Lightning, which has taken it over now, exits with 0."""
        if current_thread() is main_thread():
            signal.signal(signal.SIGTERM, self.sigterm_handler)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """An epoch of every member."""
        self.stack.train_epoch(batch)


class _RefitModule(_StackModule):
    """One network that nobody judges."""

    def __init__(self, stack: NetworkStack, progress_callback: Callable[[int], None]) -> None:
        super().__init__(stack)
        self.progress_callback = progress_callback

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """An epoch, and the word that it is over."""
        super().training_step(batch, batch_idx)
        self.progress_callback(1)


class _TrialsModule(_StackModule):
    """Trials side by side: each is judged after each epoch, and leaves when it has ended."""

    def __init__(
        self, stack: NetworkStack, trial_states: Sequence[TrialState], checkpoint_policy: CheckpointPolicy | None
    ) -> None:
        super().__init__(stack)
        self.trial_states, self.checkpoint_policy = trial_states, checkpoint_policy
        self.running_states = [course for course in trial_states if course.stop_reason is None]
        self.fold_count = len(stack.members) // len(self.running_states)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """-1 ends the fit: Lightning takes it so."""
        return None if self.running_states else -1

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """An epoch of every member, and what it came to.

        Until all have been judged no course moves: where it is stopped, the epoch's steps are kept and judged again.
        """
        try:
            losses, predictions = self.stack.train_epoch(batch, self._on_step), self.stack.validate()
            epoch_results, prune_decisions = [], []
            for place, trial_state in enumerate(self.running_states):
                member_slice = self._member_slice(place)
                epoch_results.append(
                    trial_state.score_epoch(
                        losses[member_slice], predictions[member_slice], self.stack.members[member_slice]
                    )
                )
                prune_decisions.append(trial_state.should_prune(epoch_results[-1]))
        except SearchInterrupted:
            self._save_checkpoint()
            raise
        for place, trial_state in enumerate(self.running_states):
            weights = partial(self._fold_weights, place)
            trial_state.record_epoch(epoch_results[place], prune_decisions[place], weights)
        self._drop_finished()

    def _member_slice(self, trial_index: int) -> slice:
        """The members of the running trial at a place."""
        return slice(trial_index * self.fold_count, (trial_index + 1) * self.fold_count)

    def _fold_weights(self, trial_index: int) -> tuple[StateDict, ...]:
        return tuple(self.stack.state_dict(trial_index * self.fold_count + fold) for fold in range(self.fold_count))

    def _drop_finished(self) -> None:
        """Trials that have ended leave the stack, as long as one stays."""
        remaining = [place for place, course in enumerate(self.running_states) if course.stop_reason is None]
        if 0 < len(remaining) < len(self.running_states):
            self.stack.retain(
                [place * self.fold_count + fold for place in remaining for fold in range(self.fold_count)]
            )
        self.running_states = [self.running_states[place] for place in remaining]

    def _on_step(self) -> None:
        if self.checkpoint_policy is not None and self.checkpoint_policy.is_due():
            self._save_checkpoint()

    def _save_checkpoint(self) -> None:
        if self.checkpoint_policy is not None:
            self.checkpoint_policy.save(TrialCheckpoint.capture(self.trial_states, self.stack, self.fold_count))


@contextmanager
def gc_unfrozen_on_exit() -> Iterator[None]:
    """At its end, what the fits inside have set aside is looked at again: at exit, libraries count what is left."""
    try:
        yield
    finally:
        gc.unfreeze()


def _run_fit(build_module: Callable[[], _StackModule], device: Device, epochs: range) -> None:
    """One Lightning fit, saying nothing and leaving nothing behind.

    A fit leaves cycles, which hold all that it had: they are looked for when nobody else holds it. What is there then
    is set aside, so that neither the next fit's search nor Python's own goes through all the libraries again: that
    took a fifth of a small trial's time.
    """
    try:
        with _silence_lightning():
            _run_trainer(build_module(), device, epochs)
    finally:
        gc.collect()
    gc.freeze()


def _run_trainer(module: _StackModule, device: Device, epochs: range) -> None:
    """Each of our epochs is a batch of Lightning's only epoch."""
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="gpu" if device.is_gpu else "cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, epochs)


@contextmanager
def _silence_lightning() -> Iterator[None]:
    """Without Lightning's remarks on hardware and loaders, which are about use that is not ours."""
    for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        yield
