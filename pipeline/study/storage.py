"""Storage of a study: Optuna's journal `<folder>/trials.log`, to which each finished trial is appended at once."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipeline.config.metrics import Direction
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import FileWriteError
from pipeline.study import compat
from pipeline.study.trial_record import TrialRecord, trial_from_dict

MAX_FACT_CHARS = 80  # of each value in a message
OPTUNA_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}  # all other states are FAIL


class _NoLock(JournalFileOpenLock):
    """Lock that does nothing: the search holds a lock on the study's folder, and is its only writer."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _truncate_partial_line(file: Path) -> None:
    """Remove the partial last line that a killed process or a full disk leaves."""
    content = file.read_bytes() if file.is_file() else b""
    end_of_last_line = content.rfind(b"\n") + 1
    if end_of_last_line < len(content):
        with file.open("r+b") as stream:
            stream.truncate(end_of_last_line)


def _describe_difference(stored: str, current: str) -> str:
    """Return both values: long ones from the setting on in which they differ, or from shortly before the difference."""
    position = next((index for index, pair in enumerate(zip(stored, current, strict=False)) if pair[0] != pair[1]), 0)
    settings = [match.start() for match in re.finditer(r"\('(model|training)\.", stored) if match.start() <= position]
    start = max(settings, default=max(0, position - MAX_FACT_CHARS // 2))
    excerpts = [value[start : start + MAX_FACT_CHARS] for value in (stored, current)]
    return f"{excerpts[0]} there, {excerpts[1]} here"


@contextmanager
def _rollback_on_error(file: Path) -> Iterator[None]:
    """Undo a write that fails and raise FileWriteError, so that the next write begins a line."""
    try:
        yield
    except OSError as error:
        _truncate_partial_line(file)
        raise FileWriteError(f"{file}: cannot be written ({error.strerror})") from None


def _open_journal(folder: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(folder / "trials.log"), lock_obj=_NoLock(str(folder))))


class TrialStorageReader:
    """Reader of a storage that another process appends to; raises KeyError if it holds no study yet."""

    def __init__(self, folder: Path, name: str) -> None:
        self.optuna_study = optuna.load_study(storage=_open_journal(folder), study_name=name)
        self.n_read = 0

    def read_new_trials(self) -> Iterator[TrialRecord]:
        """Yield the trials finished since the last call; a trial counts as read when the next one is requested."""
        for trial in self.optuna_study.get_trials(deepcopy=False)[self.n_read :]:
            yield trial_from_dict(trial.user_attrs["record"])
            self.n_read += 1


class TrialStorage:
    """Finished trials of one study by number: `frozen_trials` for Optuna, `records` for all other code.

    facts: everything that decides the result; raises UserError if the study was started with other facts.
    """

    def __init__(self, folder: Path, name: str, facts: Mapping[str, str], direction: Direction) -> None:
        self.file = folder / "trials.log"
        try:
            _truncate_partial_line(self.file)
            storage = _open_journal(folder)
        except ValueError:
            raise UserError(f"study={name}: {self.file} was changed by another program; use another study=") from None
        if name in optuna.get_all_study_names(storage):
            self.optuna_study = optuna.load_study(storage=storage, study_name=name)  # unlike load_if_exists, no write
        else:
            with _rollback_on_error(self.file):
                self.optuna_study = optuna.create_study(storage=storage, study_name=name, direction=direction)
        self._check_facts(facts)
        self.frozen_trials: dict[int, FrozenTrial] = {}
        self.records: dict[int, TrialRecord] = {}
        for trial in self.optuna_study.get_trials(deepcopy=False):
            self._index(trial)

    def _check_facts(self, facts: Mapping[str, str]) -> None:
        """Store the facts of a new study; raise UserError if those of an existing one differ."""
        stored = self.optuna_study.user_attrs.get("facts")
        if stored is None:
            self.save("facts", facts)
        elif differing := [key for key, value in facts.items() if stored.get(key) != value]:
            differences = [f"{key}: {_describe_difference(stored.get(key, 'none'), facts[key])}" for key in differing]
            raise UserError(
                f"study={self.optuna_study.study_name} holds another search; it differs in {'; '.join(differences)}; "
                "use another study=, or leave study out and it is named by what it searches"
            )

    def update_environment(self, environment: Mapping[str, str]) -> list[str]:
        """Return a line for each change since the last call: other hardware or libraries may change the last digits.

        A changed environment is recorded too: the journal keeps both.
        """
        previous = self.optuna_study.user_attrs.get("machine", {})
        if previous == environment:
            return []
        self.save("machine", environment)
        changes = [(key, previous.get(key, "none"), value) for key, value in environment.items() if previous]
        return [f"{key}: {before} then, {now} now" for key, before, now in changes if before != now]

    @property
    def seconds(self) -> Mapping[str, float]:
        """Return the seconds of the calls before this one."""
        return dict(self.optuna_study.user_attrs.get("seconds", {}))

    def save(self, name: str, values: Mapping[str, Any]) -> None:
        """Record values of the study by name: facts, machine, and the seconds of all calls."""
        with _rollback_on_error(self.file):
            self.optuna_study.set_user_attr(name, dict(values))

    def append(self, proposed: FrozenTrial, trial_dict: Mapping[str, Any]) -> TrialRecord:
        """Append a finished trial: its sampled parameters and its result."""
        system_attrs = {key: value for key, value in proposed.system_attrs.items() if key != compat.FIXED_PARAMS_KEY}
        epochs = enumerate(trial_from_dict(trial_dict).epoch_results, start=1)
        finished = create_trial(
            state=OPTUNA_STATES.get(trial_dict["state"], TrialState.FAIL),
            value=trial_dict["value"] if trial_dict["state"] == "complete" else None,
            params=proposed.params,
            distributions=proposed.distributions,
            intermediate_values={step: epoch.mean_score for step, epoch in epochs},
            user_attrs={"record": dict(trial_dict)},
            system_attrs=system_attrs,
        )
        with _rollback_on_error(self.file):
            self.optuna_study.add_trial(finished)
        return self._index(finished)

    def _index(self, frozen_trial: FrozenTrial) -> TrialRecord:
        trial = trial_from_dict(frozen_trial.user_attrs["record"])
        self.frozen_trials[trial.number] = frozen_trial
        self.records[trial.number] = trial
        return trial
