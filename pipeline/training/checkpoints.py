"""Checkpoints of trials in training: written to a file, found again, and resumed to the same last bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.runtime.files import FileWriteError, atomic_path
from pipeline.training.engine import NetworkStack, StateDict
from pipeline.training.epoch import EpochResult
from pipeline.training.trial_state import TrialState

CHECKPOINT_INTERVAL_SECONDS = 15.0  # a checkpoint of the largest case takes 0.4 to 1.0 s to write
TrialKeys = Mapping[int, str]  # trial number -> its hyperparameters, which differ for another number of workers


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
    def capture(cls, trial_states: Sequence[TrialState], stack: NetworkStack, fold_count: int) -> TrialCheckpoint:
        """Return the state of the trials and of the stack that trains those still running."""
        tensors: dict[str, Tensor] = {}
        running = 0
        for trial_index, trial_state in enumerate(trial_states):
            for fold, state in enumerate(trial_state.fold_weights):
                tensors |= {f"{trial_index}.{fold}.best.{name}": value for name, value in state.items()}
            if trial_state.stop_reason is None:
                for fold in range(fold_count):
                    state = stack.training_state(running * fold_count + fold)
                    tensors |= {f"{trial_index}.{fold}.stack.{name}": value for name, value in state.items()}
                running += 1
        return cls(stack.position, [_state_to_dict(trial_state) for trial_state in trial_states], tensors)

    def restore(self, trial_states: Sequence[TrialState]) -> None:
        """Set the trials to this checkpoint."""
        for trial_index, (trial_state, saved_state) in enumerate(zip(trial_states, self.trial_states, strict=True)):
            trial_state.epoch_results = list(EpochResult.curve_from_lists(saved_state["curve"]))
            trial_state.best_epoch = saved_state["best"]
            trial_state.stop_reason = saved_state["ending"]
            trial_state.fold_weights = tuple(self._fold_states(trial_index, "best"))

    def restore_stack(self, stack: NetworkStack, trial_indices: Sequence[int]) -> None:
        """Set a new stack of the running trials at these indices to this checkpoint."""
        states = [state for index in trial_indices for state in self._fold_states(index, "stack")]
        for index, state in enumerate(states):
            stack.load_training_state(index, state)
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


def _state_to_dict(trial_state: TrialState) -> dict[str, Any]:
    return {
        "curve": [epoch.as_list for epoch in trial_state.epoch_results],
        "best": trial_state.best_epoch,
        "ending": trial_state.stop_reason,
    }


class CheckpointStore:
    """The checkpoint files of a study: one for each stack of trials in training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkpoints"

    def _path(self, trial_number: int) -> Path:
        return self.folder / f"trial-{trial_number}.safetensors"

    def load_latest(self, trial_keys: TrialKeys) -> TrialCheckpoint | None:
        """Return the latest checkpoint that has all of these trials, or None; damaged files are ignored."""
        checkpoints = []
        for path in self.folder.glob("trial-*.safetensors"):
            with suppress(SafetensorError, OSError, ValueError, KeyError):
                checkpoints.append(_read_checkpoint(path, trial_keys))
        return max(checkpoints, key=lambda checkpoint: checkpoint.position, default=None)

    def save(self, trial_keys: TrialKeys, checkpoint: TrialCheckpoint) -> None:
        """Write a checkpoint atomically in place of the previous one; raises FileWriteError."""
        state = {
            "trials": list(trial_keys.items()),
            "position": checkpoint.position,
            "courses": checkpoint.trial_states,
        }
        state_json = json.dumps(state, sort_keys=True)
        tensors = {name: value.contiguous() for name, value in checkpoint.tensors.items()}
        path = self._path(min(trial_keys))
        try:
            self.folder.mkdir(exist_ok=True)
            with atomic_path(path) as temporary:
                save_file(tensors, temporary, {"state": state_json, "sha256": _compute_digest(state_json, tensors)})
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


def _read_checkpoint(path: Path, trial_keys: TrialKeys) -> TrialCheckpoint:
    """Return the checkpoint of these trials; raises ValueError if the file lacks one or its checksum differs."""
    with safe_open(path, "pt") as content:
        metadata = content.metadata()
        state = json.loads(metadata["state"])
        trial_indices = [state["trials"].index(list(trial)) for trial in trial_keys.items()]
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 -- it is no mapping
    if metadata["sha256"] != _compute_digest(metadata["state"], tensors):
        raise ValueError(f"{path}: the checksum differs")
    return TrialCheckpoint(tuple(state["position"]), state["courses"], tensors).select_trials(trial_indices)


def _compute_digest(state_json: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(state_json.encode())
    for name, value in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(value.numpy().data)
    return digest.hexdigest()


class DiskCheckpointPolicy:
    """Policy that saves every `CHECKPOINT_INTERVAL_SECONDS`, and when `raise_if_stopped` raises SearchInterrupted."""

    def __init__(self, store: CheckpointStore, trial_keys: TrialKeys, raise_if_stopped: Callable[[], None]) -> None:
        self.store = store
        self.trial_keys = trial_keys
        self.raise_if_stopped = raise_if_stopped
        self.last_save_time = monotonic()

    def load(self) -> TrialCheckpoint | None:
        return self.store.load_latest(self.trial_keys)

    def is_due(self) -> bool:
        self.raise_if_stopped()
        return monotonic() - self.last_save_time >= CHECKPOINT_INTERVAL_SECONDS

    def save(self, checkpoint: TrialCheckpoint) -> None:
        self.store.save(self.trial_keys, checkpoint)
        self.last_save_time = monotonic()
