"""Result files of a study, summary.json and trials.csv: their keys and columns are an interface to other programs."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

from pydantic import Field, TypeAdapter

from pipeline.config.metrics import Metric
from pipeline.config.overrides import parse_override
from pipeline.config.schema import Search
from pipeline.runtime.files import write_file
from pipeline.study.space import WIDTH_KEYS, from_hyperparameters
from pipeline.study.trial_record import TrialRecord, TrialStatus, format_trials_csv

if TYPE_CHECKING:  # it imports torch, and processes that only read a summary start faster without
    from pipeline.study.problem import Problem

SUMMARY_FILE = "summary.json"
TRIALS_FILE = "trials.csv"
REPORTED_LIBRARIES = "torch torchvision pytorch-lightning torchmetrics optuna mlflow hydra-core numpy scikit-learn"
PREFIXES_WITHOUT_EFFECT = "study store question space budget. tracking. hydra. compute.workers compute.stack"


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
class RefitResult:
    """Part of a summary that depends on the test set: computed once for each winner."""

    baseline_test: IntervalScore | None
    test: TestScore
    constant_baseline: ConstantScore
    parameters: int
    files: ModelFiles


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
        return RefitResult(baseline_test, self.test, self.constant_baseline, self.parameters, self.files)


def build_summary(
    search: Search,
    problem: Problem,
    trials: Sequence[TrialRecord],
    best: TrialRecord,
    refit_result: RefitResult,
    seconds: SecondsSpent,
) -> StudySummary:
    """Return the summary of a study whose best trial was refit and tested; trials: in order of number."""
    states = [trial.state for trial in trials]
    metric = problem.task.metric
    first = trials[0]
    baseline = None
    if refit_result.baseline_test is not None:
        overrides = _trial_overrides(search.overrides, first, first)
        scores = CrossValidationScore.from_trial(first, metric)
        baseline = BaselineSummary(overrides, scores, refit_result.baseline_test)
    overrides = _trial_overrides(search.overrides, best, first)
    winner = WinnerSummary(best.number, overrides, best.epoch, CrossValidationScore.from_trial(best, metric))
    return StudySummary(
        task=search.task,
        study=problem.name,
        seed=search.seed,
        fingerprint=problem.fingerprint,
        trials=TrialCounts(len(trials), **{state: states.count(state) for state in get_args(TrialStatus)}),
        baseline=baseline,
        best=winner,
        **{key: part for key, part in vars(refit_result).items() if key != "baseline_test"},
        seconds=seconds,
        versions=library_versions(),
        device=problem.task.device.name,
    )


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a result may depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in REPORTED_LIBRARIES.split()}


def _trial_overrides(typed: Sequence[str], trial: TrialRecord, baseline: TrialRecord) -> tuple[str, ...]:
    """Return the overrides that run one trial by itself: those typed that decide a result, and the sampled values."""
    overrides = [each for each in map(parse_override, typed) if not each.is_range and each.key not in WIDTH_KEYS]
    relevant = [each.text for each in overrides if not each.key.startswith(tuple(PREFIXES_WITHOUT_EFFECT.split()))]
    baseline_candidate = from_hyperparameters(baseline.hyperparameters)
    return (*relevant, *from_hyperparameters(trial.hyperparameters).to_overrides(baseline_candidate))


def write_summary(folder: Path, summary: StudySummary, trials: Sequence[TrialRecord]) -> None:
    """Write summary.json and trials.csv into the study's folder, each whole or not at all."""
    write_file(folder / TRIALS_FILE, format_trials_csv(trials).encode())
    write_file(folder / SUMMARY_FILE, summary.to_json().encode())


def read_summary(folder: Path) -> StudySummary | None:
    """Return the summary in the study's folder, or None if no search has finished there."""
    file = folder / SUMMARY_FILE
    return StudySummary.from_json(file.read_text(encoding="utf-8")) if file.is_file() else None
