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

from pipeline.config.overrides import parse
from pipeline.config.schema import Search
from pipeline.runtime.files import write_whole
from pipeline.study.problem import Question
from pipeline.study.space import WIDTHS, restored, typed
from pipeline.study.trial_record import Row

Summary = dict[str, Any]
LIBRARIES = (
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
WITHOUT_EFFECT = (
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


def build(
    search: Search,
    question: Question,
    rows: Sequence[Row],
    best: Row,
    crowned: Mapping[str, Any],
    seconds: Mapping[str, float],
) -> Summary:
    """The whole summary of a study; `crowned` are the parts that the held-out test decides."""
    baseline = _baseline(search, question, rows[0], crowned) if rows[0].finite else None
    winner = {
        "number": best.number,
        "overrides": overrides(search, best, rows[0]),
        "epoch": best.epoch,
        "cross_validation": _cross_validation(best, question),
    }
    return {
        "task": search.task,
        "study": question.name,
        "seed": search.seed,
        "fingerprint": question.fingerprint,
        "trials": _counts(rows),
        "baseline": baseline,
        "best": winner,
        **{key: crowned[key] for key in ("test", "majority", "parameters", "files")},
        "seconds": {key: round(value, 3) for key, value in seconds.items()},
        "versions": versions(),
        "device": question.task.device.name,
    }


def versions() -> dict[str, str]:
    """Python's, and those of the libraries that a result may depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}


def _baseline(search: Search, question: Question, row: Row, crowned: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "overrides": overrides(search, row, row),
        "cross_validation": _cross_validation(row, question),
        "test": crowned["baseline_test"],
    }


def overrides(search: Search, row: Row, baseline: Row) -> list[str]:
    """A trial as the words that run it as it is: those typed that decide a result, and what was drawn."""
    words = [word for word in map(parse, search.typed) if not word.is_range]
    kept = [word.text for word in words if word.key not in WIDTHS and not word.key.startswith(WITHOUT_EFFECT)]
    return [*kept, *restored(row.fields).overrides(restored(baseline.fields))]


def _cross_validation(row: Row, question: Question) -> dict[str, Any]:
    """A trial's score: the mean over the folds at its best epoch, and its standard error."""
    return {
        "metric": question.task.metric,
        "direction": "maximize" if question.task.maximise else "minimize",
        "mean": row.value,
        "standard_error": row.standard_error,
        "folds": list(row.folds),
    }


def _counts(rows: Sequence[Row]) -> dict[str, int]:
    """How many trials ended how."""
    states = [row.state for row in rows]
    return {"total": len(rows)} | {state: states.count(state) for state in ("complete", "pruned", "failed", "diverged")}


def trials_csv(rows: Sequence[Row]) -> str:
    """A line a trial, in order, every number at full precision; no times, so that equal searches give equal bytes."""
    folds = max((len(row.folds) for row in rows), default=0)
    fields = list(rows[0].fields) if rows else []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "state", "value", "epoch", *fields, *(f"fold_{fold}" for fold in range(folds))])
    for row in rows:
        scores = [repr(score) for score in row.folds] + [""] * (folds - len(row.folds))
        cells = [repr(value) if isinstance(value, float) else typed(value) for value in row.fields.values()]
        writer.writerow(
            [row.number, row.state, repr(row.value) if row.finite else "", row.epoch or "", *cells, *scores]
        )
    return text.getvalue()


def write(folder: Path, summary: Summary, rows: Sequence[Row]) -> None:
    """Both files, each whole or not at all."""
    for name, text in (("trials.csv", trials_csv(rows)), ("summary.json", json.dumps(summary, indent=2) + "\n")):
        write_whole(folder / name, text.encode())


def read(folder: Path) -> Summary | None:
    """The summary that an earlier call left, if there is one."""
    file = folder / "summary.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
