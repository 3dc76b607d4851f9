"""A trial in the middle of its training: kept in a file, found again, and trained on to the same last bit."""

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

CHECKPOINT_INTERVAL_SECONDS = 15.0  # seconds of training
TrialKeys = Mapping[int, str]  # trials by number, and what each tries: another number of workers draws something else


@dataclass(frozen=True)
class TrialCheckpoint:
    """Trials side by side, somewhere in an epoch.

    position: the epoch, and where in it the stack is; courses: of each trial its curve, its best epoch and its ending;
    tensors: by trial, fold, and what they are.
    """

    position: tuple[int, int, int]
    trial_states: Sequence[Mapping[str, Any]]
    tensors: Mapping[str, Tensor]

    @classmethod
    def capture(cls, trial_states: Sequence[TrialState], stack: NetworkStack, fold_count: int) -> TrialCheckpoint:
        """What there is to keep of trials and the stack that those of them are in that still run."""
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
        return cls(stack.position, [_state_to_dict(course) for course in trial_states], tensors)

    def restore(self, trial_states: Sequence[TrialState]) -> None:
        """Brings trials to where they were."""
        for trial_index, (trial_state, saved_state) in enumerate(zip(trial_states, self.trial_states, strict=True)):
            trial_state.epoch_results = list(EpochResult.curve_from_lists(saved_state["curve"]))
            trial_state.best_epoch, trial_state.stop_reason = saved_state["best"], saved_state["ending"]
            trial_state.fold_weights = tuple(self._fold_states(trial_index, "best"))

    def restore_stack(self, stack: NetworkStack, trial_indices: Sequence[int]) -> None:
        """Brings a new stack of the trials at these places, which still run, to where theirs was."""
        states = [state for place in trial_indices for state in self._fold_states(place, "stack")]
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
        """The same of some of the trials, in this order."""
        new_indices = {str(before): str(after) for after, before in enumerate(trial_indices)}
        parts = [(*name.partition("."), value) for name, value in self.tensors.items()]
        tensors = {f"{new_indices[trial]}.{rest}": value for trial, _, rest, value in parts if trial in new_indices}
        return TrialCheckpoint(self.position, [self.trial_states[place] for place in trial_indices], tensors)


def _state_to_dict(trial_state: TrialState) -> dict[str, Any]:
    return {
        "curve": [epoch.as_list for epoch in trial_state.epoch_results],
        "best": trial_state.best_epoch,
        "ending": trial_state.stop_reason,
    }


class CheckpointStore:
    """The checkpoints of a study, a file for each group of trials that is in training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkpoints"

    def _path(self, trial_number: int) -> Path:
        return self.folder / f"trial-{trial_number}.safetensors"

    def load_latest(self, trial_keys: TrialKeys) -> TrialCheckpoint | None:
        """Where these trials were, if a whole file has all of them; a damaged one is as good as none."""
        checkpoints = []
        for path in self.folder.glob("trial-*.safetensors"):
            with suppress(SafetensorError, OSError, ValueError, KeyError):
                checkpoints.append(_read_checkpoint(path, trial_keys))
        return max(checkpoints, key=lambda checkpoint: checkpoint.position, default=None)

    def save(self, trial_keys: TrialKeys, checkpoint: TrialCheckpoint) -> None:
        """Keeps it; what was kept before stays until this is on the disk."""
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
        """The trials have ended and are in the record."""
        for trial_number in trial_numbers:
            self._path(trial_number).unlink(missing_ok=True)

    def delete_all(self) -> None:
        """Nothing is in training any more."""
        for path in self.folder.glob("*"):
            path.unlink(missing_ok=True)


def _read_checkpoint(path: Path, trial_keys: TrialKeys) -> TrialCheckpoint:
    """What a file keeps of these trials; raises ValueError where it lacks one, or is not as it was written."""
    with safe_open(path, "pt") as content:
        metadata = content.metadata()
        state = json.loads(metadata["state"])
        trial_indices = [state["trials"].index(list(trial)) for trial in trial_keys.items()]
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 -- it is no mapping
    if metadata["sha256"] != _compute_digest(metadata["state"], tensors):
        raise ValueError(f"{path}: was changed")
    return TrialCheckpoint(tuple(state["position"]), state["courses"], tensors).select_trials(trial_indices)


def _compute_digest(state_json: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(state_json.encode())
    for name, value in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(value.numpy().data)
    return digest.hexdigest()


class DiskCheckpointPolicy:
    """Keeps some trials: every fifteen seconds, and where `check` raises `Stopped`."""

    def __init__(self, store: CheckpointStore, trial_keys: TrialKeys, raise_if_stopped: Callable[[], None]) -> None:
        self.store, self.trial_keys, self.raise_if_stopped, self.last_save_time = (
            store,
            trial_keys,
            raise_if_stopped,
            monotonic(),
        )

    def load(self) -> TrialCheckpoint | None:
        """See `Keeper`."""
        return self.store.load_latest(self.trial_keys)

    def is_due(self) -> bool:
        """See `Keeper`."""
        self.raise_if_stopped()
        return monotonic() - self.last_save_time >= CHECKPOINT_INTERVAL_SECONDS

    def save(self, checkpoint: TrialCheckpoint) -> None:
        """See `Keeper`."""
        self.store.save(self.trial_keys, checkpoint)
        self.last_save_time = monotonic()
