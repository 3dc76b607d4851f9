"""Trials as nested runs of MLflow."""

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

METRICS_PER_BATCH = 1_000  # MLflow's limit for a batch
MAX_TAG_CHARS = 4_000


def log_trial(
    client: MlflowClient, experiment_id: str, parent_run_id: str, description: StudyDescription, trial: TrialRecord
) -> None:
    """Write a finished trial as a nested run, with the trial's own times, so that a second write gives the same run."""
    start_ms = int((trial.end_time - trial.seconds) * 1000)
    end_ms = int(trial.end_time * 1000)
    tags = {
        "mlflow.parentRunId": parent_run_id,
        "study": description.study,
        "kind": "trial",
        "trial": str(trial.number),
        "state": trial.state,
        "reason": truncate(trial.reason, MAX_TAG_CHARS),
    }
    info = client.create_run(experiment_id, start_ms, tags, format_run_name(trial)).info
    # The study's run has the hyperparameters that all trials share.
    logged = {*LAYER_WIDTH_PARAMS, *description.searched} if description.searched else trial.hyperparameters
    params = {key: value for key, value in trial.hyperparameters.items() if key in logged and value != ""}
    log_run_data(client, info.run_id, params, _collect_metrics(trial, description.metric, end_ms), {})
    with tempfile.TemporaryDirectory() as folder:  # the client's own method takes three queries a file
        file = Path(folder) / "architecture.json"
        file.write_text(description.architecture_json(trial), encoding="utf-8")
        artifact_repository = get_artifact_repository(info.artifact_uri, client.tracking_uri)
        artifact_repository.log_artifact(str(file))  # type: ignore[no-untyped-call]
    client.set_terminated(info.run_id, "FINISHED" if trial.state in ("complete", "pruned") else "FAILED", end_ms)


def format_run_name(trial: TrialRecord) -> str:
    """Return the name of a trial's run, such as `trial 17: 2 x 128,64 relu`."""
    values = trial.hyperparameters
    channels = str(values.get("model.channels", "")).replace("-", ",")
    nodes = str(values["model.nodes"]).replace("-", ",")
    layers = f"{values['model.layers']} x {nodes}" if nodes else "no hidden layer"
    parts = [f"{channels} channels" if channels else "", layers, values["model.activation"]]
    return truncate(f"trial {trial.number}: {' '.join(filter(None, parts))}", 200)


def _collect_metrics(trial: TrialRecord, metric: str, timestamp_ms: int) -> list[Metric]:
    """Return the trial's metrics, and for each epoch the mean score and the score of each fold."""
    points: list[tuple[str, int, float]] = [("seconds", 0, trial.seconds), ("parameters", 0, trial.n_parameters)]
    if trial.is_finite:
        points += [("score", 0, trial.value), ("standard_error", 0, trial.standard_error), ("epoch", 0, trial.epoch)]
    for epoch, scores in enumerate(trial.epoch_results, start=1):
        points += [("train_loss", epoch, scores.train_loss), (f"validation/{metric}", epoch, scores.mean_score)]
        points += [(f"fold/{fold}/{metric}", epoch, score) for fold, score in enumerate(scores.fold_scores)]
    return [Metric(name, value, timestamp_ms, step) for name, step, value in points]


def log_run_data(
    client: MlflowClient, run_id: str, params: Mapping[str, Any], metrics: Sequence[Metric], tags: Mapping[str, str]
) -> None:
    """Write params, metrics and tags in as few batches as MLflow allows."""
    run_params = [Param(key, str(value)) for key, value in params.items()]
    run_tags = [RunTag(key, value) for key, value in tags.items()]
    client.log_batch(run_id, metrics[: METRICS_PER_BATCH - 200], run_params, run_tags, synchronous=True)
    for start in range(METRICS_PER_BATCH - 200, len(metrics), METRICS_PER_BATCH):
        client.log_batch(run_id, metrics[start : start + METRICS_PER_BATCH], synchronous=True)
