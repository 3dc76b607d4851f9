"""Build the summary of a study from its search, its trials and the results on the test set."""

from collections.abc import Sequence
from typing import get_args

from pipeline.config.overrides import parse_override
from pipeline.config.schema import Search
from pipeline.study.library_versions import library_versions
from pipeline.study.problem import Problem
from pipeline.study.space import WIDTH_KEYS, from_hyperparameters
from pipeline.study.summary import (
    BaselineSummary,
    CrossValidationScore,
    RefitResult,
    SecondsSpent,
    StudySummary,
    TrialCounts,
    WinnerSummary,
)
from pipeline.study.trial_record import TrialRecord, TrialStatus

PREFIXES_WITHOUT_EFFECT = "study store question space references budget. tracking. hydra. compute.workers compute.stack"


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


def _trial_overrides(typed: Sequence[str], trial: TrialRecord, baseline: TrialRecord) -> tuple[str, ...]:
    """Return the overrides that run one trial by itself: those typed that decide a result, and the sampled values."""
    overrides = [each for each in map(parse_override, typed) if not each.is_range and each.key not in WIDTH_KEYS]
    relevant = [each.text for each in overrides if not each.key.startswith(tuple(PREFIXES_WITHOUT_EFFECT.split()))]
    baseline_candidate = from_hyperparameters(baseline.hyperparameters)
    return (*relevant, *from_hyperparameters(trial.hyperparameters).to_overrides(baseline_candidate))
