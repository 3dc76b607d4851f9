"""The search itself: Optuna is asked what to try, the folds are trained, Optuna is told; the record of a study."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline import seeds, space
from pipeline.config.schema import Search
from pipeline.data.examples import DataError
from pipeline.space import Candidate
from pipeline.training import Epoch, Judge, Outcome

State = Literal["complete", "pruned", "failed", "diverged"]
STARTUP_TRIALS = 4
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


@dataclass(frozen=True)
class Row:
    """A finished trial, as the record keeps it.

    value: the mean over the folds at `epoch`, the best of the mean curve (from 1; 0 and NaN where there is none);
    folds: each fold's score there; curve: for each epoch its mean training loss and its score on each fold;
    parameters: learned numbers of one fold's network; ended: seconds since 1970 (UTC).
    """

    number: int
    state: State
    value: float
    epoch: int
    fields: Mapping[str, Any]
    folds: tuple[float, ...]
    curve: tuple[Epoch, ...]
    reason: str
    parameters: int
    seconds: float
    ended: float

    @property
    def finite(self) -> bool:
        return math.isfinite(self.value)


class _Owned(JournalFileOpenLock):
    """No lock: the study's owner holds one on its folder, and nobody else writes."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class Study:
    """Optuna's record of one search, in `<folder>/trials.log`; opened again, it goes on where it was."""

    def __init__(self, search: Search, name: str, folder: Path, facts: Mapping[str, str], maximise: bool) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.search, self.maximise, self.folder = search, maximise, folder
        self.baseline = space.fixed(search.baseline)
        self.known_baseline = space.parameters(search.space, self.baseline)
        storage = JournalStorage(JournalFileBackend(str(folder / "trials.log"), lock_obj=_Owned(str(folder))))
        self.optuna = optuna.create_study(
            storage=storage,
            study_name=name,
            load_if_exists=True,
            direction="maximize" if maximise else "minimize",
            pruner=PRUNERS[search.pruner](self.baseline.training.epochs),
        )
        self._refuse_another(facts)
        self.deciding = 0.0

    def _refuse_another(self, facts: Mapping[str, str]) -> None:
        """A study's name must not join two searches: what it was started with is kept, and compared."""
        kept = self.optuna.user_attrs.get("facts")
        if kept is None:
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

    @property
    def total(self) -> int:
        """How many trials the study is to have; without a range there is one thing to try."""
        return self.search.budget.trials if space.has_ranges(self.search.space) else 1

    def rows(self) -> list[Row]:
        """The finished trials, in order of number."""
        return [_row(trial) for trial in self.optuna.get_trials(deepcopy=False) if trial.state.is_finished()]

    def best(self) -> Row | None:
        """The best complete trial; of equals the one with the fewest parameters, of those the first."""
        complete = [row for row in self.rows() if row.state == "complete"]
        if not complete:
            return None
        sign = -1 if self.maximise else 1
        return min(complete, key=lambda row: (sign * row.value, row.parameters, row.number))

    def ask(self) -> tuple[Trial, Candidate]:
        """The trial left unfinished by an earlier call, or the next one, and what it tries: the baseline first."""
        with self._deciding():
            trial = self._next()
            known = trial.number > 0 or self.known_baseline is not None
            return trial, space.draw(self.search.space, space.suggester(trial)) if known else self.baseline

    def _next(self) -> Trial:
        """A trial whose sampler is seeded for it alone.

        So a draw depends on the study's seed, the trial's number and the finished trials, and on nothing else.
        """
        trials = self.optuna.get_trials(deepcopy=False)
        left = next((trial for trial in trials if trial.state == TrialState.RUNNING), None)
        waiting = any(trial.state == TrialState.WAITING for trial in trials)
        number = left.number if left else len(trials) - waiting
        self.optuna.sampler = SAMPLERS[self.search.sampler](seeds.number(self.search.seed, number, "sampler"))
        if left:
            return Trial(self.optuna, left._trial_id)
        if number == 0 and not waiting and self.known_baseline is not None:
            self.optuna.enqueue_trial(self.known_baseline)
        return self.optuna.ask()

    def judge(self, trial: Trial, watch: Callable[[int], None]) -> Judge:
        """Reports each epoch's mean over the folds, and stops trials that fall behind; never the baseline.

        A trial begun again after an interruption comes to the same means: those that are known are not told twice.
        """
        known = set(self.optuna.get_trials(deepcopy=False)[trial.number].intermediate_values)

        def stop(epoch: int, scores: Epoch) -> bool:
            watch(epoch)
            with self._deciding():
                if epoch not in known:
                    trial.report(scores.mean, epoch)
                return trial.number > 0 and trial.should_prune()

        return stop

    def tell(
        self, trial: Trial, candidate: Candidate, outcome: Outcome | Exception, parameters: int, seconds: float
    ) -> Row:
        """Writes down how a trial went; a NaN or an exception is never a score."""
        facts: dict[str, Any] = {
            "fields": dict(candidate.fields),
            "parameters": parameters,
            "seconds": seconds,
            "ended": time.time(),
        }
        record = facts | _outcome(outcome)
        with self._deciding():
            trial.set_user_attr("record", record)
            if record["state"] == "complete":
                told = self.optuna.tell(trial, record["value"], state=TrialState.COMPLETE)
            else:
                ended = TrialState.PRUNED if record["state"] == "pruned" else TrialState.FAIL
                told = self.optuna.tell(trial, state=ended)
        return _row(told)

    @contextmanager
    def _deciding(self) -> Iterator[None]:
        begin = time.monotonic()
        try:
            yield
        finally:
            self.deciding += time.monotonic() - begin


def _outcome(outcome: Outcome | Exception) -> dict[str, Any]:
    if isinstance(outcome, Exception):
        reason = f"{type(outcome).__name__}: {outcome}".splitlines()[0]
        return {"state": "failed", "value": None, "epoch": 0, "curve": [], "reason": reason}
    state = outcome.ending if outcome.ending in ("pruned", "diverged") else "complete"
    reasons = {
        "complete": "all epochs done",
        "patience": "no better mean score for training.patience epochs",
        "pruned": "behind the other trials",
        "diverged": "the loss or a score was not a finite number",
    }
    return {
        "state": state,
        "value": outcome.value if outcome.best else None,
        "epoch": outcome.best,
        "curve": [[epoch.loss, *epoch.folds] for epoch in outcome.epochs],
        "reason": reasons[outcome.ending],
    }


def _row(trial: FrozenTrial) -> Row:
    record = trial.user_attrs["record"]
    curve = tuple(Epoch(loss, tuple(folds)) for loss, *folds in record["curve"])
    return Row(
        number=trial.number,
        state=record["state"],
        value=math.nan if record["value"] is None else record["value"],
        epoch=record["epoch"],
        fields=record["fields"],
        folds=curve[record["epoch"] - 1].folds if record["epoch"] else (),
        curve=curve,
        reason=record["reason"],
        parameters=record["parameters"],
        ended=record["ended"],
        seconds=record["seconds"],
    )
