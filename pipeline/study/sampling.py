"""Optuna's sampler and pruner, over exactly the trials that a wave may know of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from pipeline.config.schema import Search
from pipeline.runtime import seeds
from pipeline.study import space
from pipeline.study.space import Candidate
from pipeline.study.storage import Record

STARTUP_TRIALS = 4
RECENT, BEST, RENEWED = 250, 25, 50
SAMPLERS: Mapping[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False),
}
PRUNERS: Mapping[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "median": lambda epochs: optuna.pruners.MedianPruner(STARTUP_TRIALS, warm_up(epochs)),
    "asha": lambda epochs: optuna.pruners.SuccessiveHalvingPruner(warm_up(epochs), reduction_factor=3),
    "none": lambda _: optuna.pruners.NopPruner(),
}


def warm_up(epochs: int) -> int:
    """After how many epochs a trial may first be pruned: a fifth of them; before that the curves are mostly noise."""
    return max(1, epochs // 5)


class Advisor:
    """An in-memory study: the finished trials before a wave, and those of the wave as running.

    So a draw depends on the study's seed, the trial's number and the trials before its wave, and on nothing else. Of
    a long study it knows the latest 250 to 300 trials and the 25 best before them: the sampler's good half is whole,
    and its time does not grow.
    """

    def __init__(self, search: Search, record: Record, maximise: bool) -> None:
        self.search, self.record, self.maximise = search, record, maximise
        self.baseline = space.fixed(search.baseline)
        self.known_baseline = space.parameters(search.space, self.baseline)
        self.running: dict[int, Trial] = {}
        self.judged: dict[int, int] = {}
        self._forget()

    def _forget(self) -> None:
        self.known = optuna.create_study(
            direction="maximize" if self.maximise else "minimize",
            pruner=PRUNERS[self.search.pruner](self.baseline.training.all_epochs),
        )
        self.since = self.learned = 0

    def learn(self, before: int) -> None:
        """Makes known all trials with a number below `before`, which have ended."""
        since = max(0, (before - RECENT - 1) // RENEWED * RENEWED)
        if since != self.since:
            self._forget()
            self.running.clear()
            self.since = self.learned = since
            self.known.add_trials([self.record.trials[number] for number in self._best(since)])
        for number in range(self.learned, before):
            trial = self.running.pop(number, None)
            if trial is None:
                self.known.add_trial(self.record.trials[number])
            else:
                self._end(trial, self.record.trials[number])
        self.learned = before

    def _best(self, before: int) -> list[int]:
        rows = [row for number, row in self.record.rows.items() if number < before and row.state == "complete"]
        rows.sort(key=lambda row: (-row.value if self.maximise else row.value, row.number))
        return sorted(row.number for row in rows[:BEST])

    def _end(self, trial: Trial, ended: FrozenTrial) -> None:
        """A running trial has ended so."""
        for epoch, mean in ended.intermediate_values.items():
            trial.report(mean, epoch)
        self.known.tell(trial, ended.value if ended.state == TrialState.COMPLETE else None, state=ended.state)

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self.known.get_trials(deepcopy=False)[trial.number]

    def draw(self, number: int) -> Candidate:
        """What the trial tries: the baseline first, then what the sampler, seeded for this trial alone, says."""
        self.known.sampler = SAMPLERS[self.search.sampler](seeds.number(self.search.seed, number, "sampler"))
        if number == 0 and self.known_baseline is not None:
            self.known.enqueue_trial(self.known_baseline)
        trial = self.running[number] = self.known.ask()
        if number == 0 and self.known_baseline is None:
            return self.baseline
        return space.draw(self.search.space, space.suggester(trial))

    def drawn_before(self, number: int) -> None:
        """A trial of this wave that has ended already counts as running, as it did when the others were drawn."""
        ended = self.record.trials[number]
        running = create_trial(state=TrialState.RUNNING, params=ended.params, distributions=ended.distributions)
        self.known.add_trial(running)
        self.running[number] = Trial(self.known, self.known.get_trials(deepcopy=False)[-1]._trial_id)

    def drawn(self, number: int) -> FrozenTrial:
        """What was drawn for a trial of this wave, in Optuna's own terms."""
        return self._frozen(self.running[number])

    def stops(self, number: int, means: Sequence[float]) -> bool:
        """Takes each epoch's mean over the folds so far, and says whether the trial is behind; the baseline never is.

        A pruner may keep a note of each epoch: a trial that goes on from a checkpoint goes through all of them first.
        """
        seen = self.judged.get(number, 0)
        first = seen + 1 if len(means) > seen else 1  # otherwise it is trained again
        self.judged[number] = len(means)
        behind = False
        for last in range(first, len(means) + 1):
            trial = copy(self._frozen(self.running[number]))
            trial.intermediate_values = dict(enumerate(means[:last], start=1))
            behind = bool(self.known.pruner.prune(self.known, trial))
        return number > 0 and behind
