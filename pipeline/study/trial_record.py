"""Record of a finished trial, its plain form in trials.log, and its line in trials.csv."""

from __future__ import annotations

import csv
import io
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline.config.metrics import Metric
from pipeline.runtime.errors import describe_error
from pipeline.study.space import Candidate, format_override_value
from pipeline.training.epoch import EpochResult

if TYPE_CHECKING:
    from pipeline.training.trials import TrialResult

TrialStatus = Literal["complete", "pruned", "failed", "diverged"]
STOP_REASONS = {
    "complete": "all epochs done",
    "patience": "no better mean score for training.patience epochs",
    "pruned": "behind the other trials",
    "diverged": "the loss or a score was not a finite number",
}


@dataclass(frozen=True)
class TrialRecord:
    """Finished trial.

    value: mean score over the folds at `epoch`, the best one of the mean curve (from 1; 0 and NaN without a score);
    fold_scores: scores of the folds at that epoch; epoch_results: mean training loss and fold scores of each epoch;
    n_parameters: of one fold's network; end_time: seconds since 1970 (UTC); repeats: repeats of the cross-validation.
    """

    number: int
    state: TrialStatus
    value: float
    epoch: int
    hyperparameters: Mapping[str, Any]
    fold_scores: tuple[float, ...]
    epoch_results: tuple[EpochResult, ...]
    reason: str
    n_parameters: int
    seconds: float
    end_time: float
    repeats: int = 1

    @property
    def is_finite(self) -> bool:
        """Return whether the trial has a score."""
        return math.isfinite(self.value)

    def rank(self, metric: Metric) -> tuple[float, int, int]:
        """Return a key that is the least for the best trial: of equal scores the fewest parameters, then the first."""
        return -metric.improvement(self.value, 0), self.n_parameters, self.number

    @property
    def folds_per_repeat(self) -> int:
        """Return the number of folds of one repeat: that many scores come from disjoint rows."""
        return len(self.fold_scores) // self.repeats

    @property
    def standard_error(self) -> float:
        """Return the standard error of the mean over the folds."""
        return standard_error(self.fold_scores, self.repeats)


def result_to_dict(
    number: int, candidate: Candidate, result: TrialResult | Exception, n_parameters: int, seconds: float, repeats: int
) -> dict[str, Any]:
    """Return the plain form of a result; an exception or a NaN gives a record without a score."""
    common = {
        "number": number,
        "fields": dict(candidate.hyperparameters),
        "parameters": n_parameters,
        "seconds": seconds,
        "ended": time.time(),
        "repeats": repeats,
    }
    if isinstance(result, Exception):
        reason = describe_error(result)
        return common | {"state": "failed", "value": None, "epoch": 0, "curve": [], "reason": reason}
    return common | {
        "state": result.stop_reason if result.stop_reason in ("pruned", "diverged") else "complete",
        "value": result.value if result.best_epoch else None,
        "epoch": result.best_epoch,
        "curve": [epoch.as_list for epoch in result.epoch_results],
        "reason": STOP_REASONS[result.stop_reason],
    }


def trial_from_dict(trial_dict: Mapping[str, Any]) -> TrialRecord:
    """Return the record that a plain form holds."""
    epoch_results = EpochResult.curve_from_lists(trial_dict["curve"])
    return TrialRecord(
        number=trial_dict["number"],
        state=trial_dict["state"],
        value=math.nan if trial_dict["value"] is None else trial_dict["value"],
        epoch=trial_dict["epoch"],
        hyperparameters=trial_dict["fields"],
        fold_scores=epoch_results[trial_dict["epoch"] - 1].fold_scores if trial_dict["epoch"] else (),
        epoch_results=epoch_results,
        reason=trial_dict["reason"],
        n_parameters=trial_dict["parameters"],
        seconds=trial_dict["seconds"],
        end_time=trial_dict["ended"],
        repeats=trial_dict.get("repeats", 1),  # records of the first release lack it
    )


def format_trials_csv(trials: Sequence[TrialRecord]) -> str:
    """Return a line a trial, numbers at full precision and no times: equal searches give equal bytes."""
    n_folds = max((len(trial.fold_scores) for trial in trials), default=0)
    hyperparameters = list(trials[0].hyperparameters) if trials else []
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    fold_columns = [f"fold_{fold}" for fold in range(n_folds)]
    writer.writerow(["number", "state", "value", "epoch", *hyperparameters, *fold_columns])
    for trial in trials:
        value = trial.value if trial.is_finite else ""
        cells = map(format_override_value, trial.hyperparameters.values())
        padding = [""] * (n_folds - len(trial.fold_scores))
        writer.writerow([trial.number, trial.state, value, trial.epoch or "", *cells, *trial.fold_scores, *padding])
    return buffer.getvalue()


def standard_error(fold_scores: Sequence[float], repeats: int) -> float:
    """Return the standard error of the mean of the scores of folds, of which each repeat has the same number.

    Repeats score the same rows again. Divided by the root of the number of all scores, the error would go to 0 with
    more repeats (Nadeau, Bengio 2003, Machine Learning 52, 239). Therefore the standard deviation of all scores is
    divided by the root of the number of folds of one repeat.
    """
    return statistics.stdev(fold_scores) / math.sqrt(len(fold_scores) // repeats)
