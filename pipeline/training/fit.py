"""Lightning fits of the engine's stacks: cross-validation of trials with pruning and checkpoints, and the refit."""

import gc
import logging
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

import pytorch_lightning as lightning

from pipeline.runtime.signals import SearchInterrupted
from pipeline.training.checkpoints import CheckpointPolicy, TrialCheckpoint
from pipeline.training.device import Device
from pipeline.training.engine import FoldData, Member, NetworkStack, StateDict, build_stack
from pipeline.training.trials import PredictionTask, RunningTrial, TrialResult, TrialSpec


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
    trials = [RunningTrial(task, spec) for spec, _ in trials_with_folds]
    checkpoint = checkpoint_policy.load() if checkpoint_policy is not None else None
    if checkpoint is not None:
        checkpoint.restore(trials)
    running = [index for index, trial in enumerate(trials) if trial.stop_reason is None]
    if running:
        pairs = [trials_with_folds[index] for index in running]
        members = [Member(spec.model, spec.training, spec.seeds, data) for spec, folds in pairs for data in folds]
        stack = build_stack(members, task.inputs, task.head, task.device.precision)
        if checkpoint is not None:
            checkpoint.restore_stack(stack, running)
        first_epoch = 0 if checkpoint is None else checkpoint.position[0]
        epochs = range(first_epoch, max(spec.training.total_epochs for spec, _ in pairs))
        _run_fit(_TrialsFit(stack, trials, checkpoint_policy).train_epoch, task.device, epochs)
    return [trial.result for trial in trials]


def refit(
    task: PredictionTask, member: Member, epochs: int, progress_callback: Callable[[int], None] = lambda _: None
) -> StateDict:
    """Train one network for a number of epochs without validation and return the weights with which it predicts.

    A schedule of the learning rate is that of all `training.epochs`, also if fewer are trained: so an epoch has the
    rates that it had in cross-validation.
    progress_callback: called with 1 after each epoch.
    """
    stack = build_stack([member], task.inputs, task.head, task.device.precision)

    def train_epoch(epoch: int) -> bool:
        stack.train_epoch(epoch)
        progress_callback(1)
        return True

    _run_fit(train_epoch, task.device, range(epochs))
    return stack.state_dict(0)


class _StackModule(lightning.LightningModule):
    """One fit of a stack: an epoch of all members is one Lightning batch; the engine steps its own optimizers.

    Mapping the engine's epochs to Lightning batches saves time: a Lightning epoch adds 13 ms, a batch 0.3 ms.
    train_epoch: trains the epoch of a number, and returns whether the fit continues after it.
    """

    def __init__(self, train_epoch: Callable[[int], bool]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.train_epoch = train_epoch
        self.is_running = True
        self.sigterm_handler = signal.getsignal(signal.SIGTERM)

    def configure_optimizers(self) -> None:
        """Return None: the engine steps its own optimizers."""

    def on_train_start(self) -> None:
        """Restore the handler of SIGTERM that Lightning replaced: its own exits with 0."""
        if current_thread() is main_thread():
            signal.signal(signal.SIGTERM, self.sigterm_handler)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """Return -1, which ends the fit, once an epoch was the last one."""
        return None if self.is_running else -1

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Train an epoch."""
        self.is_running = self.train_epoch(batch)


class _TrialsFit:
    """The fit of several trials: each is scored after each epoch, and leaves the stack when it has ended."""

    def __init__(self, stack: NetworkStack, trials: Sequence[RunningTrial], policy: CheckpointPolicy | None) -> None:
        self.stack = stack
        self.trials = trials
        self.policy = policy
        self.running = [trial for trial in trials if trial.stop_reason is None]
        self.fold_count = len(stack.members) // len(self.running)

    def train_epoch(self, epoch: int) -> bool:
        """Train, score and record an epoch of every trial; return whether any is still running.

        No trial's state changes before all are scored: after an interruption in between, the epoch is scored again.
        """
        starts = range(0, len(self.stack.members), self.fold_count)
        slices = [slice(start, start + self.fold_count) for start in starts]
        try:
            losses = self.stack.train_epoch(epoch, self._save_if_due)
            predictions = self.stack.validate()
            epoch_results = [
                trial.score_epoch(losses[part], predictions[part], self.stack.members[part])
                for trial, part in zip(self.running, slices, strict=True)
            ]
            prune_decisions = list(map(RunningTrial.should_prune, self.running, epoch_results))
        except SearchInterrupted:
            self._save_checkpoint()
            raise
        for trial, part, result, is_pruned in zip(self.running, slices, epoch_results, prune_decisions, strict=True):
            if trial.record_epoch(result, is_pruned):
                trial.fold_weights = tuple(self.stack.state_dict(member) for member in range(part.start, part.stop))
                trial.fold_predictions = tuple(predictions[part])
        self._drop_finished()
        return bool(self.running)

    def _drop_finished(self) -> None:
        """Remove trials that have ended from the stack, unless none would remain."""
        remaining = [index for index, trial in enumerate(self.running) if trial.stop_reason is None]
        folds = range(self.fold_count)
        if 0 < len(remaining) < len(self.running):
            self.stack.retain([index * self.fold_count + fold for index in remaining for fold in folds])
        self.running = [self.running[index] for index in remaining]

    def _save_if_due(self) -> None:
        if self.policy is not None and self.policy.is_due():
            self._save_checkpoint()

    def _save_checkpoint(self) -> None:
        if self.policy is not None:
            self.policy.save(TrialCheckpoint.capture(self.trials, self.stack, self.fold_count))


@contextmanager
def gc_unfrozen_on_exit() -> Iterator[None]:
    """Unfreeze the garbage collector at the end of the block: at exit, libraries count the objects that are left."""
    try:
        yield
    finally:
        gc.unfreeze()


def _run_fit(train_epoch: Callable[[int], bool], device: Device, epochs: range) -> None:
    """Run one Lightning fit without messages and free its memory.

    A fit leaves reference cycles: they are collected once nothing else refers to it. The remaining objects are frozen,
    so that later collections skip all libraries: scanning them took a fifth of a small trial's time (bench/LOG.md).
    """
    try:
        _run_trainer(train_epoch, device, epochs)
    finally:
        gc.collect()
    gc.freeze()


def _run_trainer(train_epoch: Callable[[int], bool], device: Device, epochs: range) -> None:
    """Run a Lightning trainer of one epoch, whose batches are the engine's epochs.

    Lightning's messages about hardware and data loaders are suppressed: they do not apply here.
    """
    for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
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
        trainer.fit(_StackModule(train_epoch), epochs)
