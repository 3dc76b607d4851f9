"""One trial as a run of MLflow, and how it is written."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from pipeline.display import network
from pipeline.record.rows import Row
from pipeline.tracking.description import Description

BATCH = 1_000
Point = tuple[str, int, float]


def write(client: MlflowClient, experiment: str, parent: str, described: Description, row: Row) -> None:
    """Writes a finished trial as a nested run; every stamp is the trial's own, so that written again it is the same."""
    start, end = int((row.ended - row.seconds) * 1000), int(row.ended * 1000)
    tags = {"mlflow.parentRunId": parent, "study": described.study, "kind": "trial", "trial": str(row.number)}
    name = f"trial {row.number}: {network(row.fields)}"
    run = client.create_run(experiment, start, tags | {"state": row.state, "reason": row.reason}, name).info
    fields = {key: str(value) for key, value in row.fields.items() if value != ""}
    log(client, run.run_id, fields, _curves(row, described.metric), {}, end)
    with tempfile.TemporaryDirectory() as folder:  # asking the client for it costs three queries a file
        file = Path(folder) / "architecture.json"
        file.write_text(described.trial(row), encoding="utf-8")
        place = get_artifact_repository(run.artifact_uri, client.tracking_uri)
        place.log_artifact(str(file))  # type: ignore[no-untyped-call]
    client.set_terminated(run.run_id, "FINISHED" if row.state in ("complete", "pruned") else "FAILED", end)


def _curves(row: Row, metric: str) -> list[Point]:
    """The trial's own figures; the mean and each fold's score an epoch."""
    points: list[Point] = [("seconds", 0, row.seconds), ("parameters", 0, row.parameters)]
    if row.finite:
        points += [("value", 0, row.value), ("epoch", 0, row.epoch)]
    for epoch, scores in enumerate(row.curve, start=1):
        points += [("train_loss", epoch, scores.loss), (f"validation/{metric}", epoch, scores.mean)]
        points += [(f"fold/{fold}/{metric}", epoch, score) for fold, score in enumerate(scores.folds)]
    return points


def log(
    client: MlflowClient,
    run: str,
    parameters: Mapping[str, Any],
    points: Sequence[Point],
    tags: Mapping[str, str],
    stamp: int,
) -> None:
    """Everything of a run in as few writes as MLflow allows; stamp: milliseconds since 1970 (UTC), of every point."""
    metrics = [Metric(name, value, stamp, step) for name, step, value in points]
    params = [Param(key, str(value)) for key, value in parameters.items()]
    tagged = [RunTag(key, value) for key, value in tags.items()]
    client.log_batch(run, metrics[: BATCH - 200], params, tagged, synchronous=True)
    for start in range(BATCH - 200, len(metrics), BATCH):
        client.log_batch(run, metrics[start : start + BATCH], synchronous=True)
