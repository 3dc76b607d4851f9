"""What a search leaves for programs: summary.json and trials.csv; their keys are an interface."""

from __future__ import annotations

import csv
import io
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.config.overrides import parse_override
from pipeline.config.schema import Search
from pipeline.runtime.files import write_file
from pipeline.study.problem import Problem
from pipeline.study.space import WIDTH_KEYS, format_override_value, from_hyperparameters
from pipeline.study.trial_record import TrialRecord

StudySummary = dict[str, Any]
REPORTED_LIBRARIES = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "torchmetrics",
    "optuna",
    "mlflow",
    "hydra-core",
    "numpy",
    "scikit-learn",
)
KEYS_WITHOUT_EFFECT = (
    "study",
    "store",
    "question",
    "space",
    "budget.",
    "tracking.",
    "hydra.",
    "compute.workers",
    "compute.stack",
)


def build_summary(
    search: Search,
    problem: Problem,
    trials: Sequence[TrialRecord],
    best: TrialRecord,
    refit_results: Mapping[str, Any],
    seconds: Mapping[str, float],
) -> StudySummary:
    """The whole summary of a study; `crowned` are the parts that the held-out test decides."""
    baseline = _summarize_baseline(search, problem, trials[0], refit_results) if trials[0].is_finite else None
    winner = {
        "number": best.number,
        "overrides": trial_overrides(search, best, trials[0]),
        "epoch": best.epoch,
        "cross_validation": _summarize_cross_validation(best, problem),
    }
    return {
        "task": search.task,
        "study": problem.name,
        "seed": search.seed,
        "fingerprint": problem.fingerprint,
        "trials": _count_states(trials),
        "baseline": baseline,
        "best": winner,
        **{key: refit_results[key] for key in ("test", "majority", "parameters", "files")},
        "seconds": {key: round(value, 3) for key, value in seconds.items()},
        "versions": library_versions(),
        "device": problem.task.device.name,
    }


def library_versions() -> dict[str, str]:
    """Python's, and those of the libraries that a result may depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in REPORTED_LIBRARIES}


def _summarize_baseline(
    search: Search, problem: Problem, trial: TrialRecord, refit_results: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "overrides": trial_overrides(search, trial, trial),
        "cross_validation": _summarize_cross_validation(trial, problem),
        "test": refit_results["baseline_test"],
    }


def trial_overrides(search: Search, trial: TrialRecord, baseline: TrialRecord) -> list[str]:
    """A trial as the words that run it as it is: those typed that decide a result, and what was drawn."""
    fixed_overrides = [word for word in map(parse_override, search.overrides) if not word.is_range]
    relevant = [
        word.text
        for word in fixed_overrides
        if word.key not in WIDTH_KEYS and not word.key.startswith(KEYS_WITHOUT_EFFECT)
    ]
    return [
        *relevant,
        *from_hyperparameters(trial.hyperparameters).to_overrides(from_hyperparameters(baseline.hyperparameters)),
    ]


def _summarize_cross_validation(trial: TrialRecord, problem: Problem) -> dict[str, Any]:
    """A trial's score: the mean over the folds at its best epoch, and its standard error."""
    return {
        "metric": problem.task.metric.name,
        "direction": problem.task.metric.direction,
        "mean": trial.value,
        "standard_error": trial.standard_error,
        "folds": list(trial.fold_scores),
    }


def _count_states(trials: Sequence[TrialRecord]) -> dict[str, int]:
    """How many trials ended how."""
    states = [trial.state for trial in trials]
    return {"total": len(trials)} | {
        state: states.count(state) for state in ("complete", "pruned", "failed", "diverged")
    }


def format_trials_csv(trials: Sequence[TrialRecord]) -> str:
    """A line a trial, in order, every number at full precision; no times, so that equal searches give equal bytes."""
    n_folds = max((len(row.fold_scores) for row in trials), default=0)
    hyperparameters = list(trials[0].hyperparameters) if trials else []
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["number", "state", "value", "epoch", *hyperparameters, *(f"fold_{fold}" for fold in range(n_folds))]
    )
    for row in trials:
        scores = [repr(score) for score in row.fold_scores] + [""] * (n_folds - len(row.fold_scores))
        cells = [
            repr(value) if isinstance(value, float) else format_override_value(value)
            for value in row.hyperparameters.values()
        ]
        writer.writerow(
            [row.number, row.state, repr(row.value) if row.is_finite else "", row.epoch or "", *cells, *scores]
        )
    return buffer.getvalue()


def write_summary(folder: Path, summary: StudySummary, trials: Sequence[TrialRecord]) -> None:
    """Both files, each whole or not at all."""
    for name, text in (
        ("trials.csv", format_trials_csv(trials)),
        ("summary.json", json.dumps(summary, indent=2) + "\n"),
    ):
        write_file(folder / name, text.encode())


def read_summary(folder: Path) -> StudySummary | None:
    """The summary that an earlier call left, if there is one."""
    file = folder / "summary.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
