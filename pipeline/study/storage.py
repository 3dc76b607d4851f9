"""What a study has found, kept by Optuna in `<folder>/trials.log`: a finished trial is one line, written at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipeline.data.examples import DataError
from pipeline.runtime.files import NotWrittenError
from pipeline.study.trial_record import Row, row_of

STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.FAIL,
    "failed": TrialState.FAIL,
}


class _Owned(JournalFileOpenLock):
    """No lock: the study's owner holds one on its folder, and nobody else writes."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _mend(file: Path) -> None:
    """Cuts off the part of a line that a killed process, or a full disk, has left at the end."""
    if not file.is_file():
        return
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with file.open("r+b") as stream:
            stream.truncate(whole)


@contextmanager
def _taken(file: Path) -> Iterator[None]:
    """A write to the record: whole, or NotWrittenError and not at all, so that the next one begins a line."""
    try:
        yield
    except OSError as error:
        _mend(file)
        raise NotWrittenError(f"{file}: cannot be written ({error.strerror})") from None


def _storage(folder: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(folder / "trials.log"), lock_obj=_Owned(str(folder))))


class Reader:
    """Another process's view of a record that grows; raises KeyError where the record has no study yet."""

    def __init__(self, folder: Path, name: str) -> None:
        self.optuna, self.read = optuna.load_study(storage=_storage(folder), study_name=name), 0

    def rows(self) -> Iterator[Row]:
        """The trials that have ended since the last call; one that its reader does not come to is there again."""
        for trial in self.optuna.get_trials(deepcopy=False)[self.read :]:
            yield row_of(trial.user_attrs["record"])
            self.read += 1


class Record:
    """The finished trials of one study: `trials` as Optuna has them, `rows` as everyone else, by their number."""

    def __init__(self, folder: Path, name: str, facts: Mapping[str, str], *, maximise: bool) -> None:
        self.file = folder / "trials.log"
        try:
            _mend(self.file)
            storage = _storage(folder)
        except ValueError:
            raise DataError(f"study={name}: {self.file} was changed by another program; use another study=") from None
        if any(study.study_name == name for study in storage.get_all_studies()):
            self.optuna = optuna.load_study(storage=storage, study_name=name)  # looking at it writes nothing
        else:
            with _taken(self.file):
                self.optuna = optuna.create_study(
                    storage=storage, study_name=name, direction="maximize" if maximise else "minimize"
                )
        self._refuse_another(facts)
        self.trials: dict[int, FrozenTrial] = {}
        self.rows: dict[int, Row] = {}
        for trial in self.optuna.get_trials(deepcopy=False):
            self._take(trial)

    def _refuse_another(self, facts: Mapping[str, str]) -> None:
        """A study's name must not join two searches: what it was started with is kept, and compared."""
        kept = self.optuna.user_attrs.get("facts")
        if kept is None:
            with _taken(self.file):
                self.optuna.set_user_attr("facts", dict(facts))
            return
        differing = [
            f"{key}: {kept.get(key)} there, {value} here" for key, value in facts.items() if kept.get(key) != value
        ]
        if differing:
            raise DataError(
                f"study={self.optuna.study_name} holds another search; it differs in {'; '.join(differing)}; "
                "use another study=, or leave study out and it is named by what it searches"
            )

    def differing(self, machine: Mapping[str, str]) -> list[str]:
        """Where the study was left on another machine, or with other libraries, which may change the last digits.

        Either is written down: the record is a log, and keeps both.
        """
        kept = self.optuna.user_attrs.get("machine", {})
        if kept == machine:
            return []
        with _taken(self.file):
            self.optuna.set_user_attr("machine", dict(machine))
        changed = [key for key, value in machine.items() if kept and kept.get(key) != value]
        return [f"{key}: {kept.get(key, 'not there')} then, {machine[key]} now" for key in changed]

    @property
    def seconds(self) -> Mapping[str, float]:
        """What the calls before this one have spent, as the last of them wrote it down."""
        return dict(self.optuna.user_attrs.get("seconds", {}))

    def spend(self, seconds: Mapping[str, float]) -> None:
        """Writes down what all calls have spent, this one included."""
        with _taken(self.file):
            self.optuna.set_user_attr("seconds", dict(seconds))

    def append(self, drawn: FrozenTrial, record: Mapping[str, Any]) -> Row:
        """Writes a trial down: what was drawn for it, and how it went."""
        trial = create_trial(
            state=STATES[record["state"]],
            value=record["value"] if record["state"] == "complete" else None,
            params=drawn.params,
            distributions=drawn.distributions,
            intermediate_values={step: epoch.mean for step, epoch in enumerate(row_of(record).curve, start=1)},
            user_attrs={"record": dict(record)},
            system_attrs={key: value for key, value in drawn.system_attrs.items() if key != "fixed_params"},
        )
        with _taken(self.file):
            self.optuna.add_trial(trial)
        return self._take(trial)

    def _take(self, trial: FrozenTrial) -> Row:
        row = row_of(trial.user_attrs["record"])
        self.trials[row.number], self.rows[row.number] = trial, row
        return row
