"""One trial as a run of MLflow, and how it is written."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from pipeline.study.description import StudyDescription
from pipeline.study.trial_record import TrialRecord
from pipeline.tracking.markdown import truncate
from pipeline.tracking.ui_views import LAYER_WIDTH_PARAMS

METRICS_PER_BATCH, MAX_TAG_CHARS = 1_000, 4_000  # points in a write, letters of a tag
MetricPoint = tuple[str, int, float]


def log_trial(
    client: MlflowClient, experiment_id: str, parent_run_id: str, description: StudyDescription, trial: TrialRecord
) -> None:
    """Writes a finished trial as a nested run; every stamp is the trial's own, so that written again it is the same."""
    start_ms, end_ms = int((trial.end_time - trial.seconds) * 1000), int(trial.end_time * 1000)
    tags = {
        "mlflow.parentRunId": parent_run_id,
        "study": description.study,
        "kind": "trial",
        "trial": str(trial.number),
    }
    reason = truncate(trial.reason, MAX_TAG_CHARS)
    run_info = client.create_run(
        experiment_id, start_ms, tags | {"state": trial.state, "reason": reason}, format_run_name(trial)
    ).info
    log_run_data(
        client,
        run_info.run_id,
        _select_params(trial, description),
        _collect_metrics(trial, description.metric),
        {},
        end_ms,
    )
    with tempfile.TemporaryDirectory() as folder:  # asking the client for it costs three queries a file
        file = Path(folder) / "architecture.json"
        file.write_text(description.architecture_json(trial), encoding="utf-8")
        artifact_repository = get_artifact_repository(run_info.artifact_uri, client.tracking_uri)
        artifact_repository.log_artifact(str(file))  # type: ignore[no-untyped-call]
    client.set_terminated(run_info.run_id, "FINISHED" if trial.state in ("complete", "pruned") else "FAILED", end_ms)


def format_run_name(trial: TrialRecord) -> str:
    """What a trial is called: `trial 17: 2 x 128,64 relu`."""
    layers, channels = trial.hyperparameters["model.layers"], trial.hyperparameters.get("model.channels", "")
    nodes = str(trial.hyperparameters["model.nodes"]).replace("-", ",")
    parts = [
        f"{channels} channels".replace("-", ",") if channels else "",
        f"{layers} x {nodes}" if nodes else "no hidden layer",
        trial.hyperparameters["model.activation"],
    ]
    return truncate(f"trial {trial.number}: {' '.join(filter(None, parts))}", 200)


def _select_params(trial: TrialRecord, description: StudyDescription) -> dict[str, str]:
    """What tells the trial from others: its widths, and what was drawn; what all of them share is the study's."""
    logged_keys = {*LAYER_WIDTH_PARAMS, *description.searched} if description.searched else trial.hyperparameters
    return {key: str(value) for key, value in trial.hyperparameters.items() if key in logged_keys and value != ""}


def _collect_metrics(trial: TrialRecord, metric: str) -> list[MetricPoint]:
    """The trial's own figures; the mean and each fold's score an epoch."""
    points: list[MetricPoint] = [("seconds", 0, trial.seconds), ("parameters", 0, trial.n_parameters)]
    if trial.is_finite:
        points += [("score", 0, trial.value), ("standard_error", 0, trial.standard_error), ("epoch", 0, trial.epoch)]
    for epoch, scores in enumerate(trial.epoch_results, start=1):
        points += [("train_loss", epoch, scores.train_loss), (f"validation/{metric}", epoch, scores.mean_score)]
        points += [(f"fold/{fold}/{metric}", epoch, score) for fold, score in enumerate(scores.fold_scores)]
    return points


def log_run_data(
    client: MlflowClient,
    run_id: str,
    parameters: Mapping[str, Any],
    points: Sequence[MetricPoint],
    tags: Mapping[str, str],
    timestamp_ms: int,
) -> None:
    """Everything of a run in as few writes as MLflow allows; stamp: milliseconds since 1970 (UTC), of every point."""
    metrics = [Metric(name, value, timestamp_ms, step) for name, step, value in points]
    params = [Param(key, str(value)) for key, value in parameters.items()]
    run_tags = [RunTag(key, value) for key, value in tags.items()]
    client.log_batch(run_id, metrics[: METRICS_PER_BATCH - 200], params, run_tags, synchronous=True)
    for start in range(METRICS_PER_BATCH - 200, len(metrics), METRICS_PER_BATCH):
        client.log_batch(run_id, metrics[start : start + METRICS_PER_BATCH], synchronous=True)
