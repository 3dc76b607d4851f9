"""Checkpoints of trials in training: written to a file, found again, and resumed to the same last bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.runtime.files import FileWriteError, atomic_path
from pipeline.training.engine import NetworkStack, StateDict
from pipeline.training.epoch import EpochResult
from pipeline.training.trials import RunningTrial

CHECKPOINT_INTERVAL_SECONDS = 15.0  # a checkpoint of the largest case takes 0.4 to 1.0 s to write


@dataclass(frozen=True)
class TrialCheckpoint:
    """State of the trials of one stack, at any step of an epoch.

    position: epoch, block and step of the stack; trial_states: curve, best epoch and stop reason of each trial;
    tensors: by "trial.fold.kind.name".
    """

    position: tuple[int, int, int]
    trial_states: Sequence[Mapping[str, Any]]
    tensors: Mapping[str, Tensor]

    @classmethod
    def capture(cls, trials: Sequence[RunningTrial], stack: NetworkStack, fold_count: int) -> TrialCheckpoint:
        """Return the state of the trials and of the stack that trains those still running."""
        tensors: dict[str, Tensor] = {}
        trial_states = []
        member = 0
        for index, trial in enumerate(trials):
            curve = [epoch.as_list for epoch in trial.epoch_results]
            trial_states.append({"curve": curve, "best": trial.best_epoch, "ending": trial.stop_reason})
            for fold, state in enumerate(trial.fold_weights):
                tensors |= {f"{index}.{fold}.best.{name}": value for name, value in state.items()}
            for fold, predictions in enumerate(trial.fold_predictions):
                tensors[f"{index}.{fold}.predictions.best"] = predictions
            for fold in range(fold_count if trial.stop_reason is None else 0):
                state = stack.training_state(member)
                tensors |= {f"{index}.{fold}.stack.{name}": value for name, value in state.items()}
                member += 1
        return cls(stack.position, trial_states, tensors)

    def restore(self, trials: Sequence[RunningTrial]) -> None:
        """Set the trials to this checkpoint."""
        for index, (trial, state) in enumerate(zip(trials, self.trial_states, strict=True)):
            trial.epoch_results = list(EpochResult.curve_from_lists(state["curve"]))
            trial.best_epoch = state["best"]
            trial.stop_reason = state["ending"]
            trial.fold_weights = tuple(self._fold_states(index, "best"))
            trial.fold_predictions = tuple(state["best"] for state in self._fold_states(index, "predictions"))

    def restore_stack(self, stack: NetworkStack, trial_indices: Sequence[int]) -> None:
        """Set a new stack of the running trials at these indices to this checkpoint."""
        states = [state for index in trial_indices for state in self._fold_states(index, "stack")]
        for member, state in enumerate(states):
            stack.load_training_state(member, state)
        stack.position = self.position

    def _fold_states(self, trial_index: int, kind: str) -> list[StateDict]:
        folds: dict[int, StateDict] = {}
        for name, value in self.tensors.items():
            trial, fold, state_kind, tensor_name = name.split(".", 3)
            if (int(trial), state_kind) == (trial_index, kind):
                folds.setdefault(int(fold), {})[tensor_name] = value
        return [folds[fold] for fold in sorted(folds)]

    def select_trials(self, trial_indices: Sequence[int]) -> TrialCheckpoint:
        """Return the checkpoint of these trials alone, in this order."""
        new_indices = {str(before): str(after) for after, before in enumerate(trial_indices)}
        parts = [(*name.partition("."), value) for name, value in self.tensors.items()]
        tensors = {f"{new_indices[trial]}.{rest}": value for trial, _, rest, value in parts if trial in new_indices}
        return TrialCheckpoint(self.position, [self.trial_states[index] for index in trial_indices], tensors)


class CheckpointStore:
    """The checkpoint files of a study: one for each stack of trials in training.

    hyperparameters: those of each trial by its number, as text. A checkpoint with others is of another trial: with
    another number of workers the sampler proposes others under the same number.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkpoints"

    def _path(self, trial_number: int) -> Path:
        return self.folder / f"trial-{trial_number}.safetensors"

    def load_latest(self, hyperparameters: Mapping[int, str]) -> TrialCheckpoint | None:
        """Return the latest checkpoint that has all of these trials, or None; damaged files are ignored."""
        checkpoints = []
        for path in self.folder.glob("trial-*.safetensors"):
            with suppress(SafetensorError, OSError, ValueError, KeyError), safe_open(path, "pt") as content:
                metadata = content.metadata()
                state = json.loads(metadata["state"])
                trial_indices = [state["trials"].index(list(trial)) for trial in hyperparameters.items()]
                tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 -- no mapping
                if metadata["sha256"] == compute_digest(metadata["state"], tensors):
                    checkpoint = TrialCheckpoint(tuple(state["position"]), state["courses"], tensors)
                    checkpoints.append(checkpoint.select_trials(trial_indices))
        return max(checkpoints, key=lambda checkpoint: checkpoint.position, default=None)

    def save(self, hyperparameters: Mapping[int, str], checkpoint: TrialCheckpoint) -> None:
        """Write a checkpoint atomically in place of the previous one; raises FileWriteError."""
        trials = list(hyperparameters.items())
        state = {"trials": trials, "position": checkpoint.position, "courses": checkpoint.trial_states}
        state_json = json.dumps(state, sort_keys=True)
        tensors = {name: value.contiguous() for name, value in checkpoint.tensors.items()}
        path = self._path(min(hyperparameters))
        try:
            self.folder.mkdir(exist_ok=True)
            with atomic_path(path) as temporary:
                save_file(tensors, temporary, {"state": state_json, "sha256": compute_digest(state_json, tensors)})
        except (SafetensorError, OSError) as error:
            raise FileWriteError(f"{path}: cannot be written ({error})") from None

    def delete(self, trial_numbers: Sequence[int]) -> None:
        """Delete the checkpoints of trials whose results are stored."""
        for trial_number in trial_numbers:
            self._path(trial_number).unlink(missing_ok=True)

    def delete_all(self) -> None:
        """Delete all checkpoints of the study."""
        for path in self.folder.glob("*"):
            path.unlink(missing_ok=True)


def compute_digest(state_json: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a text and of named tensors, as hexadecimal digits."""
    digest = hashlib.sha256(state_json.encode())
    for name, value in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(value.numpy().data)
    return digest.hexdigest()


@dataclass
class CheckpointPolicy:
    """Decides after every step whether to save a checkpoint: every `CHECKPOINT_INTERVAL_SECONDS`, and when stopped."""

    store: CheckpointStore
    hyperparameters: Mapping[int, str]
    raise_if_stopped: Callable[[], None]
    last_save_time: float = field(default_factory=monotonic)

    def load(self) -> TrialCheckpoint | None:
        """Return the checkpoint of an interrupted call with these trials, or None."""
        return self.store.load_latest(self.hyperparameters)

    def is_due(self) -> bool:
        """Return whether to save now; raises SearchInterrupted to stop, after which `save` is called."""
        self.raise_if_stopped()
        return monotonic() - self.last_save_time >= CHECKPOINT_INTERVAL_SECONDS

    def save(self, checkpoint: TrialCheckpoint) -> None:
        """Store a checkpoint in place of the previous one."""
        self.store.save(self.hyperparameters, checkpoint)
        self.last_save_time = monotonic()
