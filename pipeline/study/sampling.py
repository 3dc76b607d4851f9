"""Sampling of trials by Optuna, from exactly the trials that precede a batch of proposals."""

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from pipeline.config.schema import Search
from pipeline.runtime import seeds
from pipeline.study import compat, space
from pipeline.study.pruning import TrialPruner
from pipeline.study.space import Candidate
from pipeline.study.storage import TrialStorage

N_RECENT_TRIALS = 250
N_BEST_TRIALS = 25
WINDOW_STEP = 50


class TrialProposer:
    """In-memory Optuna study that holds the finished trials before a batch, and those of the batch as running.

    Thus a sample depends on the seed of the study, the number of the trial and the trials before its batch alone. Of a
    long study it holds the latest 250 to 300 trials and the 25 best before them: TPE keeps all of its good trials, and
    its time does not grow (70 ms a trial at 1,000 trials, 139 at 5,000).
    """

    def __init__(self, search: Search, storage: TrialStorage) -> None:
        self.search = search
        self.storage = storage
        self.baseline = space.without_ranges(search.baseline)
        self.baseline_params = space.to_optuna_params(search.space, self.baseline)
        self.running_trials: dict[int, Trial] = {}
        self.pruner = TrialPruner(search.pruner, self.baseline.training.total_epochs)
        self._reset()

    def _reset(self, window_start: int = 0) -> None:
        """Start again with an empty study, to which the trials from `window_start` on are to be added."""
        pruner = self.pruner.optuna_pruner
        self.optuna_study = optuna.create_study(direction=self.search.metric.direction, pruner=pruner)
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
            finished = frozen_trials[number]
            running = self.running_trials.pop(number, None)
            if running is None:
                self.optuna_study.add_trial(finished)
                continue
            for epoch, mean_score in finished.intermediate_values.items():
                running.report(mean_score, epoch)
            value = finished.value if finished.state == TrialState.COMPLETE else None
            self.optuna_study.tell(running, value, state=finished.state)
        self.n_added = before

    def _best_numbers(self, before: int) -> list[int]:
        trials = [each for each in self.storage.records.values() if each.number < before and each.state == "complete"]
        metric = self.search.metric
        trials.sort(key=lambda trial: (-metric.improvement(trial.value, 0), trial.number))
        return sorted(trial.number for trial in trials[:N_BEST_TRIALS])

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
        """Add a finished trial of this batch as running, as it was when the others were sampled."""
        finished = self.storage.frozen_trials[number]
        running = create_trial(state=TrialState.RUNNING, params=finished.params, distributions=finished.distributions)
        self.optuna_study.add_trial(running)
        self.running_trials[number] = compat.last_trial(self.optuna_study)

    def running_frozen_trial(self, number: int) -> FrozenTrial:
        """Return the sampled parameters of a trial of this batch as Optuna's frozen trial."""
        return self.optuna_study.get_trials(deepcopy=False)[self.running_trials[number].number]
