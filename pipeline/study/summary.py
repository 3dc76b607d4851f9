"""Result files of a study, summary.json and trials.csv: their keys and columns are an interface to other programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from pipeline.config.final_models import FinalModelKind
from pipeline.config.metrics import Metric
from pipeline.runtime.files import write_file
from pipeline.study.trial_record import TrialRecord, format_trials_csv, standard_error

SUMMARY_FILE = "summary.json"
TRIALS_FILE = "trials.csv"


@dataclass(frozen=True)
class TrialCounts:
    """Number of trials, in total and of each state."""

    total: int
    complete: int
    pruned: int
    failed: int
    diverged: int


@dataclass(frozen=True)
class CrossValidationScore:
    """Score of a trial: mean over the folds at its best epoch, and the standard error of that mean."""

    metric: str
    direction: str
    mean: float
    standard_error: float
    folds: tuple[float, ...]

    @classmethod
    def from_trial(cls, trial: TrialRecord, metric: Metric) -> CrossValidationScore:
        """Return the score of a trial that has one."""
        return cls(metric.name, metric.direction, trial.value, trial.standard_error, tuple(trial.fold_scores))

    @classmethod
    def from_folds(cls, metric: Metric, fold_scores: Sequence[float], repeats: int) -> CrossValidationScore:
        """Return the mean of the scores of folds, of which each repeat has the same number."""
        mean = math.fsum(fold_scores) / len(fold_scores)
        return cls(metric.name, metric.direction, mean, standard_error(fold_scores, repeats), tuple(fold_scores))


@dataclass(frozen=True)
class IntervalScore:
    """Score on the test set with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class TestScore:
    """Score of the winner on the test set; others: scores by name; evaluations: of the test set, by this study."""

    metric: str
    value: float
    low: float
    high: float
    others: Mapping[str, float] = field(default_factory=dict)
    level: float = 0.95
    rows: int
    evaluations: Annotated[int, Field(alias="opened")] = 1


@dataclass(frozen=True)
class ConstantScore:
    """Score on the test set of the constant baseline: the prediction that fits the training rows best."""

    metric: str
    value: float


@dataclass(frozen=True)
class BaselineSummary:
    """Trial 0, the network typed without a search, refit and tested like the winner."""

    overrides: tuple[str, ...]
    cross_validation: CrossValidationScore
    test: IntervalScore


@dataclass(frozen=True)
class WinnerSummary:
    """Best trial: the overrides that run it by itself, and the epoch at which its mean score was best."""

    number: int
    overrides: tuple[str, ...]
    epoch: int
    cross_validation: CrossValidationScore


@dataclass(frozen=True)
class ModelFiles:
    """Two files of a model, relative to the study's folder, with their SHA-256."""

    architecture: str
    parameters: str
    architecture_sha256: str
    parameters_sha256: str


@dataclass(frozen=True)
class SecondsSpent:
    """Wall time of all calls of a search; training is the sum over the trials, deciding is the time inside Optuna."""

    total: float
    training: float
    tracking: float = 0.0
    deciding: float = 0.0


@dataclass(frozen=True)
class ChampionSummary:
    """How the final model was made from the winner: the kind as in `champion=`, and its number of networks."""

    kind: FinalModelKind = "refit"
    networks: int = 1


@dataclass(frozen=True)
class ReferenceSummary:
    """Model of scikit-learn that was trained on the folds and tested on the test set like the winner."""

    name: str
    title: str
    cross_validation: CrossValidationScore
    test: IntervalScore
    seconds: float


@dataclass(frozen=True)
class RefitResult:
    """Part of a summary that depends on the test set: computed once for each winner."""

    baseline_test: IntervalScore | None
    test: TestScore
    constant_baseline: ConstantScore
    parameters: int
    files: ModelFiles
    champion: ChampionSummary
    references: tuple[ReferenceSummary, ...]


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """Result of a study; fields are the keys of summary.json in order, with defaults for those that old files lack."""

    task: str
    study: str
    seed: int
    fingerprint: str
    trials: TrialCounts
    baseline: BaselineSummary | None
    best: WinnerSummary
    test: TestScore
    constant_baseline: Annotated[ConstantScore, Field(alias="majority")]
    parameters: int
    files: ModelFiles
    seconds: SecondsSpent
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    champion: ChampionSummary = ChampionSummary()
    references: tuple[ReferenceSummary, ...] = ()

    @classmethod
    def from_json(cls, text: str) -> StudySummary:
        """Return the summary that a file holds; raises pydantic.ValidationError if a key is missing."""
        return TypeAdapter(cls).validate_python(json.loads(text))

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps(TypeAdapter(StudySummary).dump_python(self, by_alias=True), indent=2) + "\n"

    @property
    def refit_result(self) -> RefitResult:
        """Return what was computed on the test set, to use it again while the winner stays the same."""
        baseline_test = None if self.baseline is None else self.baseline.test
        shared = (self.test, self.constant_baseline, self.parameters, self.files, self.champion, self.references)
        return RefitResult(baseline_test, *shared)


def write_summary(folder: Path, summary: StudySummary, trials: Sequence[TrialRecord]) -> None:
    """Write summary.json and trials.csv into the study's folder, each whole or not at all."""
    write_file(folder / TRIALS_FILE, format_trials_csv(trials).encode())
    write_file(folder / SUMMARY_FILE, summary.to_json().encode())


def read_summary(folder: Path) -> StudySummary | None:
    """Return the summary in the study's folder, or None if no search has finished there."""
    file = folder / SUMMARY_FILE
    return StudySummary.from_json(file.read_text(encoding="utf-8")) if file.is_file() else None
