"""The search itself: what is tried next, who may stop it, how it went; the record of a study."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import optuna

from pipeline.config.schema import Search
from pipeline.study import proposal_batches, space
from pipeline.study.sampling import WaveSampler
from pipeline.study.space import Candidate
from pipeline.study.storage import TrialStorage
from pipeline.study.trial_record import TrialRecord, duplicate_trial_dict, result_to_dict, trial_from_dict
from pipeline.training.trial_state import PruneCallback, TrialResult


@dataclass(frozen=True)
class TrialProposal:
    """What is to be tried under which number.

    same_as: the number of an earlier trial, of the same wave at the latest, that tries the same.
    """

    number: int
    candidate: Candidate
    duplicate_of: int | None = None


class Study:
    """One search's trials; opened again, it goes on where it was.

    wave: how many trials are drawn at a time. deciding: the seconds that Optuna took.
    """

    def __init__(
        self, search: Search, name: str, folder: Path, facts: Mapping[str, str], *, maximize: bool, wave_size: int = 1
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.search, self.maximize, self.wave_size = search, maximize, wave_size
        self.sampling_seconds, self._lock = 0.0, Lock()
        with self._locked_and_timed():
            self.storage = TrialStorage(folder, name, facts, maximize=maximize)
            self.sampler = WaveSampler(search, self.storage, maximize)
        self._best_trial: TrialRecord | None = None
        self._first_numbers: dict[tuple[Any, ...], int] = {}
        for trial in self.finished_trials():
            self._add(trial)

    @property
    def n_trials(self) -> int:
        """How many trials the study is to have; without a range there is one thing to try."""
        return self.search.budget.trials if space.has_ranges(self.search.space) else 1

    def finished_trials(self) -> list[TrialRecord]:
        """The finished trials, in order of number."""
        return [self.storage.records[number] for number in sorted(self.storage.records)]

    def has_finished(self, number: int) -> bool:
        """Whether a trial has ended."""
        return number in self.storage.records

    def best_trial(self) -> TrialRecord | None:
        """The best complete trial; of equals the one with the fewest parameters, of those the first."""
        return self._best_trial

    def _is_best(self, trial: TrialRecord) -> bool:
        """Whether a trial is better than all others."""
        sign = -1 if self.maximize else 1

        def rank(candidate: TrialRecord) -> tuple[float, int, int]:
            return sign * candidate.value, candidate.n_parameters, candidate.number

        return trial.state == "complete" and (self._best_trial is None or rank(trial) < rank(self._best_trial))

    def _add(self, trial: TrialRecord) -> None:
        if self._is_best(trial):
            self._best_trial = trial
        self._first_number_with(trial.hyperparameters, trial.number)

    def _first_number_with(self, hyperparameters: Mapping[str, Any], number: int) -> int:
        """The number of the first trial that tries this."""
        key = tuple(hyperparameters.values())
        self._first_numbers[key] = min(number, self._first_numbers.get(key, number))
        return self._first_numbers[key]

    def ask(self) -> list[TrialProposal]:
        """The next wave: those of its trials that have not ended, drawn by what was known before it; none at the end.

        A trial that an earlier call left unfinished is drawn again, and comes out as it was.
        """
        next_number = next((number for number in range(self.n_trials) if number not in self.storage.records), None)
        if next_number is None:
            return []
        proposals = []
        with self._locked_and_timed():
            numbers = proposal_batches.wave_numbers(next_number, self.wave_size)
            self.sampler.add_finished_trials(numbers.start)
            for number in numbers:
                if number in self.storage.records:
                    self.sampler.restore_running(number)
                elif number < self.n_trials:
                    candidate = self.sampler.sample(number)
                    first = self._first_number_with(candidate.hyperparameters, number)
                    proposals.append(TrialProposal(number, candidate, first if first < number else None))
        return proposals

    def prune_callback(self, number: int, on_epoch: Callable[[int], None]) -> PruneCallback:
        """Sees each epoch's mean over the folds, and stops trials that fall behind; `watch` is told of each epoch."""

        def should_prune(mean_scores: Sequence[float]) -> bool:
            on_epoch(len(mean_scores))
            with self._locked_and_timed():
                return self.sampler.should_prune(number, mean_scores)

        return should_prune

    def tell(
        self,
        proposal: TrialProposal,
        result: TrialResult | Exception,
        n_parameters: int,
        seconds: float,
        save_weights: Callable[[], None] = lambda: None,
    ) -> TrialRecord:
        """Writes down how a trial went; keep: called before, if it becomes the best.

        So the weights of the best trial are there whenever the process is killed.
        """
        with self._locked_and_timed():
            trial_dict = result_to_dict(
                proposal.number, proposal.candidate, result, n_parameters, seconds, self.search.cv.repeats
            )
            if self._is_best(trial_from_dict(trial_dict)):
                save_weights()
            return self._append(proposal, trial_dict)

    def tell_duplicate(self, proposal: TrialProposal) -> TrialRecord:
        """Writes down a trial that tries what an earlier one has tried: it went as that one did."""
        assert proposal.duplicate_of is not None
        with self._locked_and_timed():
            original = self.storage.frozen_trials[proposal.duplicate_of].user_attrs["record"]
            return self._append(proposal, duplicate_trial_dict(original, proposal.number))

    def _append(self, proposal: TrialProposal, trial_dict: Mapping[str, Any]) -> TrialRecord:
        trial = self.storage.append(self.sampler.running_frozen_trial(proposal.number), trial_dict)
        self._add(trial)
        return trial

    @contextmanager
    def _locked_and_timed(self) -> Iterator[None]:
        """One thread at a time, and the seconds counted."""
        with self._lock:
            start_time = time.monotonic()
            try:
                yield
            finally:
                self.sampling_seconds += time.monotonic() - start_time
