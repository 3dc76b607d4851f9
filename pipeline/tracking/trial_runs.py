"""One trial as a run of MLflow, and how it is written."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from pipeline.study.description import Description
from pipeline.study.trial_record import Row
from pipeline.tracking.markdown import shortened
from pipeline.tracking.ui_views import WIDTHS

BATCH, LONGEST = 1_000, 4_000  # points in a write, letters of a tag
Point = tuple[str, int, float]


def write(client: MlflowClient, experiment: str, parent: str, described: Description, row: Row) -> None:
    """Writes a finished trial as a nested run; every stamp is the trial's own, so that written again it is the same."""
    start, end = int((row.ended - row.seconds) * 1000), int(row.ended * 1000)
    tags = {"mlflow.parentRunId": parent, "study": described.study, "kind": "trial", "trial": str(row.number)}
    reason = shortened(row.reason, LONGEST)
    run = client.create_run(experiment, start, tags | {"state": row.state, "reason": reason}, name(row)).info
    log(client, run.run_id, _tried(row, described), _points(row, described.metric), {}, end)
    with tempfile.TemporaryDirectory() as folder:  # asking the client for it costs three queries a file
        file = Path(folder) / "architecture.json"
        file.write_text(described.trial(row), encoding="utf-8")
        place = get_artifact_repository(run.artifact_uri, client.tracking_uri)
        place.log_artifact(str(file))  # type: ignore[no-untyped-call]
    client.set_terminated(run.run_id, "FINISHED" if row.state in ("complete", "pruned") else "FAILED", end)


def name(row: Row) -> str:
    """What a trial is called: `trial 17: 2 x 128,64 relu`."""
    layers, channels = row.fields["model.layers"], row.fields.get("model.channels", "")
    nodes = str(row.fields["model.nodes"]).replace("-", ",")
    parts = [
        f"{channels} channels".replace("-", ",") if channels else "",
        f"{layers} x {nodes}" if nodes else "no hidden layer",
        row.fields["model.activation"],
    ]
    return shortened(f"trial {row.number}: {' '.join(filter(None, parts))}", 200)


def _tried(row: Row, described: Description) -> dict[str, str]:
    """What tells the trial from others: its widths, and what was drawn; what all of them share is the study's."""
    shown = {*WIDTHS, *described.searched} if described.searched else row.fields
    return {key: str(value) for key, value in row.fields.items() if key in shown and value != ""}


def _points(row: Row, metric: str) -> list[Point]:
    """The trial's own figures; the mean and each fold's score an epoch."""
    points: list[Point] = [("seconds", 0, row.seconds), ("parameters", 0, row.parameters)]
    if row.finite:
        points += [("score", 0, row.value), ("standard_error", 0, row.standard_error), ("epoch", 0, row.epoch)]
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
