"""Ask-and-tell interface of a study: proposals of trials, their pruning, and the records of finished ones."""

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
from pipeline.study.sampling import TrialProposer
from pipeline.study.space import Candidate
from pipeline.study.storage import TrialStorage
from pipeline.study.trial_record import TrialRecord, result_to_dict, trial_from_dict
from pipeline.training.trials import TrialResult


@dataclass(frozen=True)
class TrialProposal:
    """Candidate of a trial; duplicate_of: an earlier trial, perhaps of its batch, with the same hyperparameters."""

    number: int
    candidate: Candidate
    duplicate_of: int | None = None


class Study:
    """Trials of one search; a study that is opened again continues after its recorded trials.

    batch_size: number of trials sampled at a time; sampling_seconds: time spent inside Optuna.
    best_trial: the best complete trial; among equals the one with the fewest parameters, then the first.
    """

    def __init__(self, search: Search, name: str, folder: Path, facts: Mapping[str, str], batch_size: int = 1) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.search = search
        self.batch_size = batch_size
        self.sampling_seconds = 0.0
        self._lock = Lock()
        with self._locked_and_timed():
            self.storage = TrialStorage(folder, name, facts, search.metric.direction)
            self.proposer = TrialProposer(search, self.storage)
        self.best_trial: TrialRecord | None = None
        self._first_numbers: dict[tuple[Any, ...], int] = {}
        for trial in self.finished_trials():
            self._add(trial)

    @property
    def n_trials(self) -> int:
        """Return the budget of trials; 1 if the search space holds no range."""
        return self.search.budget.trials if space.has_ranges(self.search.space) else 1

    def finished_trials(self) -> list[TrialRecord]:
        """Return the finished trials in order of number."""
        return [self.storage.records[number] for number in sorted(self.storage.records)]

    def _is_best(self, trial: TrialRecord) -> bool:
        metric = self.search.metric
        best = self.best_trial
        return trial.state == "complete" and (best is None or trial.rank(metric) < best.rank(metric))

    def _add(self, trial: TrialRecord) -> None:
        if self._is_best(trial):
            self.best_trial = trial
        self._first_number_with(trial.hyperparameters, trial.number)

    def _first_number_with(self, hyperparameters: Mapping[str, Any], number: int) -> int:
        key = tuple(hyperparameters.values())
        self._first_numbers[key] = min(number, self._first_numbers.get(key, number))
        return self._first_numbers[key]

    def ask(self) -> list[TrialProposal]:
        """Return the unfinished trials of the next batch, sampled from the trials before it; empty after the last.

        A trial that an earlier call did not finish is sampled again, with the same result.
        """
        next_number = next((number for number in range(self.n_trials) if number not in self.storage.records), None)
        if next_number is None:
            return []
        proposals = []
        with self._locked_and_timed():
            numbers = proposal_batches.batch_numbers(next_number, self.batch_size)
            self.proposer.add_finished_trials(numbers.start)
            for number in numbers:
                if number in self.storage.records:
                    self.proposer.restore_running(number)
                elif number < self.n_trials:
                    candidate = self.proposer.sample(number)
                    first = self._first_number_with(candidate.hyperparameters, number)
                    proposals.append(TrialProposal(number, candidate, first if first < number else None))
        return proposals

    def should_prune(self, number: int, on_epoch: Callable[[int], None], mean_scores: Sequence[float]) -> bool:
        """Return whether to prune a trial after its latest epoch, which is reported to `on_epoch` first."""
        on_epoch(len(mean_scores))
        with self._locked_and_timed():
            trial = self.proposer.running_trials[number]
            return self.proposer.pruner.should_prune(self.proposer.optuna_study, trial, number, mean_scores)

    def tell(
        self,
        proposal: TrialProposal,
        result: TrialResult | Exception,
        n_parameters: int,
        seconds: float,
        save_weights: Callable[[], None] = lambda: None,
    ) -> TrialRecord:
        """Record the result of a trial; save_weights: called before, if the trial becomes the best.

        In this order the weights of the best trial exist whenever the process is killed.
        """
        repeats = self.search.cv.repeats
        with self._locked_and_timed():
            trial_dict = result_to_dict(proposal.number, proposal.candidate, result, n_parameters, seconds, repeats)
            if self._is_best(trial_from_dict(trial_dict)):
                save_weights()
            return self._append(proposal, trial_dict)

    def tell_duplicate(self, proposal: TrialProposal) -> TrialRecord:
        """Record a duplicate with the result of the trial that it repeats."""
        assert proposal.duplicate_of is not None
        with self._locked_and_timed():
            original = self.storage.frozen_trials[proposal.duplicate_of].user_attrs["record"]
            reason = f"a repeat of trial {original['number']}: {original['reason']}"
            changes = {"number": proposal.number, "reason": reason, "seconds": 0.0, "ended": time.time()}
            return self._append(proposal, original | changes)

    def _append(self, proposal: TrialProposal, trial_dict: Mapping[str, Any]) -> TrialRecord:
        trial = self.storage.append(self.proposer.running_frozen_trial(proposal.number), trial_dict)
        self._add(trial)
        return trial

    @contextmanager
    def _locked_and_timed(self) -> Iterator[None]:
        """Serialise the threads of executors, and add the time to sampling_seconds."""
        with self._lock:
            start_time = time.monotonic()
            try:
                yield
            finally:
                self.sampling_seconds += time.monotonic() - start_time
