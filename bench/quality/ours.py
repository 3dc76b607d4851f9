"""Run the product by its commands on the training rows, and let its winner predict the test rows."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.quality.scores import Predictions
from bench.quality.splits import SplitFiles


def predict_ours(split: SplitFiles, seed: int, overrides: Sequence[str]) -> tuple[Predictions, dict[str, Any]]:
    """Search on the training rows; return the winner's predictions for the test rows, and the search's summary.

    overrides: settings other than the defaults, such as budget.trials=5. Raises CalledProcessError.
    """
    with tempfile.TemporaryDirectory() as store:
        study = Path(store) / "studies" / split.table.name
        _run("search", *_make_arguments(split), f"seed={seed}", f"store={store}", f"study={study.name}", *overrides)
        output = Path(store) / "predictions.jsonl"
        _run("predict", f"model={study / 'model'}", str(split.test), f"output={output}", f"store={store}")
        summary = json.loads((study / "summary.json").read_text(encoding="utf-8"))
        return read_predictions(output, sorted(split.read_features()[1].astype(str).unique())), summary


def _make_arguments(split: SplitFiles) -> list[str]:
    table = split.table
    arguments = ["task=table", f"dataset.file={split.train}", f"dataset.target={table.target}"]
    arguments += [f"dataset.group={table.group}"] if table.group else []
    return arguments + ([f"dataset.categories=[{','.join(table.categories)}]"] if table.categories else [])


def _run(command: str, *arguments: str) -> None:
    """Run a command of the product; what it prints goes to the log of this process."""
    subprocess.run([sys.executable, "-m", f"pipeline.{command}", *arguments], check=True, stdout=sys.stderr)


def read_predictions(file: Path, classes: Sequence[str]) -> Predictions:
    """Read predictions in JSON Lines; of two classes, only the probability of one may be written."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    if "prediction" in lines[0]:
        return Predictions(np.array([line["prediction"] for line in lines], np.float64))
    rows = [line["probabilities"] for line in lines]
    names = list(rows[0])
    probabilities = np.array([[row[name] for name in names] for row in rows], np.float64)
    if len(names) == 1:
        positive = names[0] if names[0] in classes else classes[1]
        names = [*(name for name in classes if name != positive), positive]
        probabilities = np.hstack([1 - probabilities, probabilities])
    return Predictions(np.array([line["answer"] for line in lines], object), probabilities, tuple(names))
