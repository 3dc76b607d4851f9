"""Optuna's sampler and pruner, over exactly the trials that a wave may know of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from pipeline.config.schema import Search
from pipeline.config.search_methods import Pruner, Sampler
from pipeline.runtime import seeds
from pipeline.study import space
from pipeline.study.space import Candidate
from pipeline.study.storage import TrialStorage

N_RECENT_TRIALS, N_BEST_TRIALS, WINDOW_STEP = 250, 25, 50


def pruner_warmup_epochs(epochs: int) -> int:
    """After how many epochs a trial may first be pruned: a fifth of them; before that the curves are mostly noise."""
    return max(1, epochs // 5)


def build_sampler(sampler: Sampler, seed: int) -> optuna.samplers.BaseSampler:
    """Return the seeded Optuna sampler of an entry."""
    optuna_class: Callable[..., optuna.samplers.BaseSampler] = getattr(optuna.samplers, sampler.optuna_class)
    return optuna_class(seed=seed, **sampler.arguments)


def build_pruner(pruner: Pruner, epochs: int) -> optuna.pruners.BasePruner:
    """Return the Optuna pruner of an entry for trials of at most this many epochs."""
    optuna_class: Callable[..., optuna.pruners.BasePruner] = getattr(optuna.pruners, pruner.optuna_class)
    return optuna_class(**pruner.arguments(pruner_warmup_epochs(epochs)))


class WaveSampler:
    """An in-memory study: the finished trials before a wave, and those of the wave as running.

    So a draw depends on the study's seed, the trial's number and the trials before its wave, and on nothing else. Of
    a long study it knows the latest 250 to 300 trials and the 25 best before them: the sampler's good half is whole,
    and its time does not grow.
    """

    def __init__(self, search: Search, storage: TrialStorage, maximize: bool) -> None:
        self.search, self.storage, self.maximize = search, storage, maximize
        self.baseline = space.without_ranges(search.baseline)
        self.baseline_params = space.to_optuna_params(search.space, self.baseline)
        self.running_trials: dict[int, Trial] = {}
        self.reported_epochs: dict[int, int] = {}
        self._reset()

    def _reset(self) -> None:
        self.optuna_study = optuna.create_study(
            direction="maximize" if self.maximize else "minimize",
            pruner=build_pruner(self.search.pruner, self.baseline.training.total_epochs),
        )
        self.window_start = self.n_added = 0

    def add_finished_trials(self, before: int) -> None:
        """Makes known all trials with a number below `before`, which have ended."""
        window_start = max(0, (before - N_RECENT_TRIALS - 1) // WINDOW_STEP * WINDOW_STEP)
        if window_start != self.window_start:
            self._reset()
            self.running_trials.clear()
            self.window_start = self.n_added = window_start
            self.optuna_study.add_trials(
                [self.storage.frozen_trials[number] for number in self._best_numbers(window_start)]
            )
        for number in range(self.n_added, before):
            trial = self.running_trials.pop(number, None)
            if trial is None:
                self.optuna_study.add_trial(self.storage.frozen_trials[number])
            else:
                self._finish_trial(trial, self.storage.frozen_trials[number])
        self.n_added = before

    def _best_numbers(self, before: int) -> list[int]:
        trials = [row for number, row in self.storage.records.items() if number < before and row.state == "complete"]
        trials.sort(key=lambda row: (-row.value if self.maximize else row.value, row.number))
        return sorted(row.number for row in trials[:N_BEST_TRIALS])

    def _finish_trial(self, trial: Trial, finished: FrozenTrial) -> None:
        """A running trial has ended so."""
        for epoch, mean_score in finished.intermediate_values.items():
            trial.report(mean_score, epoch)
        self.optuna_study.tell(
            trial, finished.value if finished.state == TrialState.COMPLETE else None, state=finished.state
        )

    def _frozen_trial(self, trial: Trial) -> FrozenTrial:
        return self.optuna_study.get_trials(deepcopy=False)[trial.number]

    def sample(self, number: int) -> Candidate:
        """What the trial tries: the baseline first, then what the sampler, seeded for this trial alone, says."""
        self.optuna_study.sampler = build_sampler(
            self.search.sampler, seeds.derive_seed(self.search.seed, number, "sampler")
        )
        if number == 0 and self.baseline_params is not None:
            self.optuna_study.enqueue_trial(self.baseline_params)
        trial = self.running_trials[number] = self.optuna_study.ask()
        if number == 0 and self.baseline_params is None:
            return self.baseline
        return space.sample_candidate(self.search.space, space.optuna_suggester(trial))

    def restore_running(self, number: int) -> None:
        """A trial of this wave that has ended already counts as running, as it did when the others were drawn."""
        finished = self.storage.frozen_trials[number]
        running = create_trial(state=TrialState.RUNNING, params=finished.params, distributions=finished.distributions)
        self.optuna_study.add_trial(running)
        self.running_trials[number] = Trial(
            self.optuna_study, self.optuna_study.get_trials(deepcopy=False)[-1]._trial_id
        )

    def running_frozen_trial(self, number: int) -> FrozenTrial:
        """What was drawn for a trial of this wave, in Optuna's own terms."""
        return self._frozen_trial(self.running_trials[number])

    def should_prune(self, number: int, mean_scores: Sequence[float]) -> bool:
        """Takes each epoch's mean over the folds so far, and says whether the trial is behind; the baseline never is.

        A pruner may keep a note of each epoch: a trial that goes on from a checkpoint goes through all of them first.
        """
        n_reported = self.reported_epochs.get(number, 0)
        first_epoch = n_reported + 1 if len(mean_scores) > n_reported else 1  # otherwise it is trained again
        self.reported_epochs[number] = len(mean_scores)
        is_behind = False
        for epoch in range(first_epoch, len(mean_scores) + 1):
            trial = copy(self._frozen_trial(self.running_trials[number]))
            trial.intermediate_values = dict(enumerate(mean_scores[:epoch], start=1))
            is_behind = bool(self.optuna_study.pruner.prune(self.optuna_study, trial))
        return number > 0 and is_behind
