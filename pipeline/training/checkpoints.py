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

from pipeline.runtime.files import NotWrittenError, moved_whole
from pipeline.training.engine import Stack, State
from pipeline.training.epoch import Epoch
from pipeline.training.trial_state import Course

EVERY = 15.0  # seconds of training
Tried = Mapping[int, str]  # trials by number, and what each tries: another number of workers draws something else


@dataclass(frozen=True)
class Saved:
    """Trials side by side, somewhere in an epoch.

    position: the epoch, and where in it the stack is; courses: of each trial its curve, its best epoch and its ending;
    tensors: by trial, fold, and what they are.
    """

    position: tuple[int, int, int]
    courses: Sequence[Mapping[str, Any]]
    tensors: Mapping[str, Tensor]

    @classmethod
    def of(cls, courses: Sequence[Course], stack: Stack, folds: int) -> Saved:
        """What there is to keep of trials and the stack that those of them are in that still run."""
        tensors: dict[str, Tensor] = {}
        running = 0
        for place, course in enumerate(courses):
            for fold, state in enumerate(course.states):
                tensors |= {f"{place}.{fold}.best.{name}": value for name, value in state.items()}
            if course.ending is None:
                for fold in range(folds):
                    state = stack.member_state(running * folds + fold)
                    tensors |= {f"{place}.{fold}.stack.{name}": value for name, value in state.items()}
                running += 1
        return cls(stack.position, [_plain(course) for course in courses], tensors)

    def restore(self, courses: Sequence[Course]) -> None:
        """Brings trials to where they were."""
        for place, (course, kept) in enumerate(zip(courses, self.courses, strict=True)):
            course.epochs = list(Epoch.curve(kept["curve"]))
            course.best, course.ending = kept["best"], kept["ending"]
            course.states = tuple(self._states(place, "best"))

    def restore_stack(self, stack: Stack, places: Sequence[int]) -> None:
        """Brings a new stack of the trials at these places, which still run, to where theirs was."""
        states = [state for place in places for state in self._states(place, "stack")]
        for index, state in enumerate(states):
            stack.restore(index, state)
        stack.position = self.position

    def _states(self, place: int, kind: str) -> list[State]:
        folds: dict[int, State] = {}
        for name, value in self.tensors.items():
            trial, fold, what, tensor = name.split(".", 3)
            if (int(trial), what) == (place, kind):
                folds.setdefault(int(fold), {})[tensor] = value
        return [folds[fold] for fold in sorted(folds)]

    def only(self, places: Sequence[int]) -> Saved:
        """The same of some of the trials, in this order."""
        now = {str(before): str(after) for after, before in enumerate(places)}
        parts = [(*name.partition("."), value) for name, value in self.tensors.items()]
        tensors = {f"{now[trial]}.{rest}": value for trial, _, rest, value in parts if trial in now}
        return Saved(self.position, [self.courses[place] for place in places], tensors)


def _plain(course: Course) -> dict[str, Any]:
    return {"curve": [epoch.plain for epoch in course.epochs], "best": course.best, "ending": course.ending}


class Checkpoints:
    """The checkpoints of a study, a file for each group of trials that is in training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkpoints"

    def _file(self, number: int) -> Path:
        return self.folder / f"trial-{number}.safetensors"

    def find(self, trials: Tried) -> Saved | None:
        """Where these trials were, if a whole file has all of them; a damaged one is as good as none."""
        found = []
        for file in self.folder.glob("trial-*.safetensors"):
            with suppress(SafetensorError, OSError, ValueError, KeyError):
                found.append(_read(file, trials))
        return max(found, key=lambda saved: saved.position, default=None)

    def save(self, trials: Tried, saved: Saved) -> None:
        """Keeps it; what was kept before stays until this is on the disk."""
        plain = {"trials": list(trials.items()), "position": saved.position, "courses": saved.courses}
        words = json.dumps(plain, sort_keys=True)
        tensors = {name: value.contiguous() for name, value in saved.tensors.items()}
        file = self._file(min(trials))
        try:
            self.folder.mkdir(exist_ok=True)
            with moved_whole(file) as temporary:
                save_file(tensors, temporary, {"state": words, "sha256": _digest(words, tensors)})
        except (SafetensorError, OSError) as error:
            raise NotWrittenError(f"{file}: cannot be written ({error})") from None

    def forget(self, numbers: Sequence[int]) -> None:
        """The trials have ended and are in the record."""
        for number in numbers:
            self._file(number).unlink(missing_ok=True)

    def clear(self) -> None:
        """Nothing is in training any more."""
        for file in self.folder.glob("*"):
            file.unlink(missing_ok=True)


def _read(file: Path, trials: Tried) -> Saved:
    """What a file keeps of these trials; raises ValueError where it lacks one, or is not as it was written."""
    with safe_open(file, "pt") as content:
        told = content.metadata()
        state = json.loads(told["state"])
        places = [state["trials"].index(list(trial)) for trial in trials.items()]
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 -- it is no mapping
    if told["sha256"] != _digest(told["state"], tensors):
        raise ValueError(f"{file}: was changed")
    return Saved(tuple(state["position"]), state["courses"], tensors).only(places)


def _digest(words: str, tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256(words.encode())
    for name, value in sorted(tensors.items()):
        found.update(name.encode())
        found.update(value.numpy().data)
    return found.hexdigest()


class OnDisk:
    """Keeps some trials: every fifteen seconds, and where `check` raises `Stopped`."""

    def __init__(self, checkpoints: Checkpoints, trials: Tried, check: Callable[[], None]) -> None:
        self.checkpoints, self.trials, self.check, self.last = checkpoints, trials, check, monotonic()

    def found(self) -> Saved | None:
        """See `Keeper`."""
        return self.checkpoints.find(self.trials)

    def due(self) -> bool:
        """See `Keeper`."""
        self.check()
        return monotonic() - self.last >= EVERY

    def save(self, saved: Saved) -> None:
        """See `Keeper`."""
        self.checkpoints.save(self.trials, saved)
        self.last = monotonic()
