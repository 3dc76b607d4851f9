"""Sampling and pruning by Optuna, from exactly the trials that precede a wave."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from pipeline.config.schema import Search
from pipeline.runtime import seeds
from pipeline.study import compat, space
from pipeline.study.space import Candidate
from pipeline.study.storage import TrialStorage

N_RECENT_TRIALS = 250
N_BEST_TRIALS = 25
WINDOW_STEP = 50


class WaveSampler:
    """In-memory Optuna study that holds the finished trials before a wave, and those of the wave as running.

    Thus a sample depends on the seed of the study, the number of the trial and the trials before its wave alone. Of a
    long study it holds the latest 250 to 300 trials and the 25 best before them: TPE keeps all of its good trials, and
    its time does not grow (70 ms a trial at 1,000 trials, 139 at 5,000).
    """

    def __init__(self, search: Search, storage: TrialStorage, maximize: bool) -> None:
        self.search = search
        self.storage = storage
        self.maximize = maximize
        self.baseline = space.without_ranges(search.baseline)
        self.baseline_params = space.to_optuna_params(search.space, self.baseline)
        self.running_trials: dict[int, Trial] = {}
        self.reported_epochs: dict[int, int] = {}
        self._reset()

    def _reset(self, window_start: int = 0) -> None:
        """Start again with an empty study, to which the trials from `window_start` on are to be added."""
        warmup_epochs = max(1, self.baseline.training.total_epochs // 5)  # curves are mostly noise before
        pruner_class = getattr(optuna.pruners, self.search.pruner.optuna_class)
        pruner = pruner_class(**self.search.pruner.arguments(warmup_epochs))
        self.optuna_study = optuna.create_study(direction="maximize" if self.maximize else "minimize", pruner=pruner)
        self.running_trials.clear()
        self.window_start = window_start
        self.n_added = window_start

    def add_finished_trials(self, before: int) -> None:
        """Add all trials with a number below `before`; they have finished."""
        frozen_trials = self.storage.frozen_trials
        window_start = max(0, (before - N_RECENT_TRIALS - 1) // WINDOW_STEP * WINDOW_STEP)
        if window_start != self.window_start:
            self._reset(window_start)
            self.optuna_study.add_trials([frozen_trials[number] for number in self._best_numbers(window_start)])
        for number in range(self.n_added, before):
            trial = self.running_trials.pop(number, None)
            if trial is None:
                self.optuna_study.add_trial(frozen_trials[number])
            else:
                self._finish_trial(trial, frozen_trials[number])
        self.n_added = before

    def _best_numbers(self, before: int) -> list[int]:
        trials = [each for each in self.storage.records.values() if each.number < before and each.state == "complete"]
        trials.sort(key=lambda trial: (-trial.value if self.maximize else trial.value, trial.number))
        return sorted(trial.number for trial in trials[:N_BEST_TRIALS])

    def _finish_trial(self, trial: Trial, finished: FrozenTrial) -> None:
        """Give a running trial the curve, value and state of the finished one."""
        for epoch, mean_score in finished.intermediate_values.items():
            trial.report(mean_score, epoch)
        value = finished.value if finished.state == TrialState.COMPLETE else None
        self.optuna_study.tell(trial, value, state=finished.state)

    def sample(self, number: int) -> Candidate:
        """Return the candidate of a trial: the baseline for number 0, then a sample with a seed of the trial's own."""
        sampler_class = getattr(optuna.samplers, self.search.sampler.optuna_class)
        sampler_seed = seeds.derive_seed(self.search.seed, number, "sampler")
        self.optuna_study.sampler = sampler_class(seed=sampler_seed, **self.search.sampler.arguments)
        if number == 0 and self.baseline_params is not None:
            self.optuna_study.enqueue_trial(self.baseline_params)
        trial = self.optuna_study.ask()
        self.running_trials[number] = trial
        if number == 0 and self.baseline_params is None:
            return self.baseline
        return space.sample_candidate(self.search.space, space.optuna_suggester(trial))

    def restore_running(self, number: int) -> None:
        """Add a finished trial of this wave as running, as it was when the others of the wave were sampled."""
        finished = self.storage.frozen_trials[number]
        running = create_trial(state=TrialState.RUNNING, params=finished.params, distributions=finished.distributions)
        self.optuna_study.add_trial(running)
        self.running_trials[number] = compat.last_trial(self.optuna_study)

    def running_frozen_trial(self, number: int) -> FrozenTrial:
        """Return the sampled parameters of a trial of this wave as Optuna's frozen trial."""
        return self.optuna_study.get_trials(deepcopy=False)[self.running_trials[number].number]

    def should_prune(self, number: int, mean_scores: Sequence[float]) -> bool:
        """Return whether to prune the trial after its latest epoch; mean_scores: of all epochs so far.

        The baseline is never pruned. A pruner may store a value for each epoch (successive halving does): for a trial
        that is resumed from a checkpoint, it is called for the earlier epochs first.
        """
        n_reported = self.reported_epochs.get(number, 0)
        first_epoch = n_reported + 1 if len(mean_scores) > n_reported else 1  # fewer: the trial is trained again
        self.reported_epochs[number] = len(mean_scores)
        is_behind = False
        for epoch in range(first_epoch, len(mean_scores) + 1):
            trial = copy(self.running_frozen_trial(number))
            trial.intermediate_values = dict(enumerate(mean_scores[:epoch], start=1))
            is_behind = bool(self.optuna_study.pruner.prune(self.optuna_study, trial))
        return number > 0 and is_behind
