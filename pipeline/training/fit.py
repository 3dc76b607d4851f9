"""Lightning fits of the engine's stacks: cross-validation of trials with pruning and checkpoints, and the refit."""

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
    """Decides after every step whether to save a checkpoint, and stores it."""

    def load(self) -> TrialCheckpoint | None:
        """Return the checkpoint of an interrupted call with these trials, or None."""

    def is_due(self) -> bool:
        """Return whether to save now; raises SearchInterrupted to stop, after which `save` is called."""

    def save(self, checkpoint: TrialCheckpoint) -> None:
        """Store a checkpoint in place of the previous one."""


def cross_validate_trials(
    task: PredictionTask,
    folds: Sequence[FoldData],
    trials: Sequence[TrialSpec],
    checkpoint_policy: CheckpointPolicy | None = None,
) -> list[TrialResult]:
    """Train one network per fold for each trial, all in one stack and one fit, from the checkpoint if there is one.

    The trials have networks of one shape. After each epoch the trial's `prune_callback` gets its mean scores; a trial
    that has ended leaves the stack at once.
    """
    return fit_trials(task, [(trial, folds) for trial in trials], checkpoint_policy)


def fit_trials(
    task: PredictionTask,
    trials_with_folds: Sequence[tuple[TrialSpec, Sequence[FoldData]]],
    checkpoint_policy: CheckpointPolicy | None = None,
) -> list[TrialResult]:
    """Train trials as `cross_validate_trials`, each on its own folds; all have the same number of folds."""
    trial_states = [TrialState(task, trial) for trial, _ in trials_with_folds]
    checkpoint = checkpoint_policy.load() if checkpoint_policy is not None else None
    if checkpoint is not None:
        checkpoint.restore(trial_states)
    running_indices = [index for index, trial_state in enumerate(trial_states) if trial_state.stop_reason is None]
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
    return [trial_state.result for trial_state in trial_states]


def refit(
    task: PredictionTask, member: Member, epochs: int, progress_callback: Callable[[int], None] = lambda _: None
) -> StateDict:
    """Train one network for a number of epochs without validation and return its weights.

    progress_callback: called with 1 after each epoch.
    """
    network_stack = build_stack([member], task.inputs, task.head, task.device.precision)
    _run_fit(lambda: _RefitModule(network_stack, progress_callback), task.device, range(epochs))
    return network_stack.state_dict(0)


class _StackModule(lightning.LightningModule):
    """One fit of a stack: an epoch of all members is one Lightning batch; the engine steps its own optimizers.

    An epoch of Lightning with its validation costs 13 ms, a batch a third of a millisecond.
    """

    def __init__(self, stack: NetworkStack) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.stack = stack
        self.sigterm_handler = signal.getsignal(signal.SIGTERM)

    def configure_optimizers(self) -> None:
        """Return None: the engine steps its own optimizers."""

    def on_train_start(self) -> None:
        """Restore the handler of SIGTERM that Lightning replaced: its own exits with 0."""
        if current_thread() is main_thread():
            signal.signal(signal.SIGTERM, self.sigterm_handler)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Train an epoch of every member."""
        self.stack.train_epoch(batch)


class _RefitModule(_StackModule):
    """The fit of one network without validation."""

    def __init__(self, stack: NetworkStack, progress_callback: Callable[[int], None]) -> None:
        super().__init__(stack)
        self.progress_callback = progress_callback

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Train an epoch and report it."""
        super().training_step(batch, batch_idx)
        self.progress_callback(1)


class _TrialsModule(_StackModule):
    """The fit of several trials: each is scored after each epoch, and leaves the stack when it has ended."""

    def __init__(
        self, stack: NetworkStack, trial_states: Sequence[TrialState], checkpoint_policy: CheckpointPolicy | None
    ) -> None:
        super().__init__(stack)
        self.trial_states = trial_states
        self.checkpoint_policy = checkpoint_policy
        self.running_states = [trial_state for trial_state in trial_states if trial_state.stop_reason is None]
        self.fold_count = len(stack.members) // len(self.running_states)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """Return -1, which ends the fit, once no trial is running."""
        return None if self.running_states else -1

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Train, score and record an epoch of every trial.

        No trial's state changes before all are scored: after an interruption in between, the epoch is scored again.
        """
        try:
            losses = self.stack.train_epoch(batch, self._on_step)
            predictions = self.stack.validate()
            epoch_results = []
            prune_decisions = []
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
        """Return the members of the running trial at an index."""
        return slice(trial_index * self.fold_count, (trial_index + 1) * self.fold_count)

    def _fold_weights(self, trial_index: int) -> tuple[StateDict, ...]:
        return tuple(self.stack.state_dict(trial_index * self.fold_count + fold) for fold in range(self.fold_count))

    def _drop_finished(self) -> None:
        """Remove trials that have ended from the stack, unless none would remain."""
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
    """Unfreeze the garbage collector at the end of the block: at exit, libraries count the objects that are left."""
    try:
        yield
    finally:
        gc.unfreeze()


def _run_fit(build_module: Callable[[], _StackModule], device: Device, epochs: range) -> None:
    """Run one Lightning fit without messages and free its memory.

    A fit leaves reference cycles: they are collected once nothing else refers to it. The remaining objects are frozen,
    so that later collections skip all libraries: scanning them took a fifth of a small trial's time (bench/LOG.md).
    """
    try:
        with _silence_lightning():
            _run_trainer(build_module(), device, epochs)
    finally:
        gc.collect()
    gc.freeze()


def _run_trainer(module: _StackModule, device: Device, epochs: range) -> None:
    """Run a Lightning trainer of one epoch, whose batches are the engine's epochs."""
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
    """Suppress Lightning's messages about hardware and data loaders, which do not apply here."""
    for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        yield
