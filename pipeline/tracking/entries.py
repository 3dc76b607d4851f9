"""One trial as MLflow is to have it, and how it is written; nothing but MLflow is imported here."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

BATCH = 1_000
Point = tuple[str, int, float]


@dataclass(frozen=True)
class Entry:
    """A nested run, whole: plain words and numbers, so that it can be handed to another process as JSON.

    start, end: milliseconds since 1970 (UTC); points: a metric's name, its step, its value.
    """

    name: str
    start: int
    end: int
    status: str
    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    points: Sequence[Point]
    architecture: str


def write(client: MlflowClient, experiment: str, entry: Entry) -> None:
    """Writes a trial as a run of the experiment."""
    run = client.create_run(experiment, entry.start, dict(entry.tags), entry.name).info
    log(client, run.run_id, entry.parameters, entry.points, {})
    with tempfile.TemporaryDirectory() as folder:  # asking the client for it costs three queries a file
        file = Path(folder) / "architecture.json"
        file.write_text(entry.architecture, encoding="utf-8")
        get_artifact_repository(run.artifact_uri).log_artifact(str(file))  # type: ignore[no-untyped-call]
    client.set_terminated(run.run_id, entry.status, entry.end)


def log(
    client: MlflowClient,
    run: str,
    parameters: Mapping[str, Any],
    points: Sequence[Point],
    tags: Mapping[str, str],
) -> None:
    """Everything of a run in as few writes as MLflow allows."""
    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, step, value in points]
    params = [Param(key, str(value)) for key, value in parameters.items()]
    tagged = [RunTag(key, value) for key, value in tags.items()]
    client.log_batch(run, metrics[: BATCH - 200], params, tagged, synchronous=True)
    for start in range(BATCH - 200, len(metrics), BATCH):
        client.log_batch(run, metrics[start : start + BATCH], synchronous=True)
