"""MLflow: an experiment a task, a run a study, a nested run a trial; the only file that knows it."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipeline.config.schema import Search
from pipeline.display import network, number
from pipeline.question import Question
from pipeline.study import Row

for name, value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}.items():
    os.environ.setdefault(name, value)

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

BATCH = 1_000


def store_uri(store: Path) -> str:
    """The tracking address of a store's own database."""
    return f"sqlite:///{(store / 'mlflow.db').resolve()}"


class Tracker:
    """Writes one study to MLflow: by ids, in batches, never through an active run.

    seconds: what it has cost so far.
    """

    def __init__(self, search: Search, study: str) -> None:
        self.search, self.study, self.seconds = search, study, 0.0
        with self._timed():
            self.client = _client(search)
            self.experiment = self._experiment()
            self.run = self._study_run()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        begin = time.monotonic()
        try:
            yield
        finally:
            self.seconds += time.monotonic() - begin

    def _experiment(self) -> str:
        found = self.client.get_experiment_by_name(self.search.task)
        if found is not None:
            return str(found.experiment_id)
        place = None if self.search.tracking.uri else str((self.search.store / "artifacts").resolve())
        try:
            return str(self.client.create_experiment(self.search.task, artifact_location=place))
        except MlflowException:  # another search made it in between
            return str(self.client.get_experiment_by_name(self.search.task).experiment_id)  # type: ignore[union-attr]

    def _study_run(self) -> str:
        """The study's run: the one of an earlier call, or a new one."""
        runs = self.client.search_runs([self.experiment], f"tags.study = '{self.study}' and tags.kind = 'study'")
        if runs:
            self.client.update_run(runs[0].info.run_id, status="RUNNING")
            return str(runs[0].info.run_id)
        tags = {"study": self.study, "kind": "study", "mlflow.source.name": "pipeline.search", **_commit()}
        return str(self.client.create_run(self.experiment, tags=tags, run_name=self.study).info.run_id)

    def configuration(self, question: Question) -> None:
        """The study's configuration, and the data set as a logged input with its fingerprint."""
        examples, splits = question.examples, question.splits
        rows = {"rows": len(examples), "development": len(splits.development), "test": len(splits.test)}
        with self._timed():
            self._batch(self.run, {**question.facts, **rows}, {}, {"fingerprint": question.fingerprint})
            self.client.log_text(self.run, self.search.yaml, "configuration.yaml")
            self.client.log_text(self.run, " ".join(self.search.typed) + "\n", "overrides.txt")
            kind, source = self.search.dataset.kind, json.dumps({"dataset": repr(self.search.dataset)})
            logged = Dataset(kind, examples.fingerprint[:36], "local", source, profile=json.dumps(rows))
            self.client.log_inputs(self.run, [DatasetInput(logged, [InputTag("mlflow.data.context", "training")])])

    def logged_trials(self) -> set[int]:
        """The numbers of the trials whose runs are complete; half-written ones are removed."""
        with self._timed():
            numbers: set[int] = set()
            query, token = f"tags.mlflow.parentRunId = '{self.run}'", None
            while True:
                page = self.client.search_runs([self.experiment], query, max_results=1_000, page_token=token)
                for run in page:
                    if run.info.status == "RUNNING":
                        self.client.delete_run(run.info.run_id)
                    else:
                        numbers.add(int(run.data.tags["trial"]))
                token = page.token
                if not token:
                    return numbers

    def trial(self, row: Row, architecture: str) -> None:
        """One finished trial as a nested run: parameters, curves, value, state, reason, architecture."""
        with self._timed():
            start = int((row.ended - row.seconds) * 1000)
            name = f"trial {row.number}: {network(str(row.fields['model.nodes']))}"
            tags = {"mlflow.parentRunId": self.run, "study": self.study, "kind": "trial", "trial": str(row.number)}
            told = {"state": row.state, "reason": row.reason}
            run = self.client.create_run(self.experiment, start, tags | told, name).info
            fields = {key: value for key, value in row.fields.items() if value != ""}
            self._batch(run.run_id, fields, self._curves(row), {})
            self._file(run.artifact_uri, "architecture.json", architecture)
            status = "FINISHED" if row.state in ("complete", "pruned") else "FAILED"
            self.client.set_terminated(run.run_id, status, int(row.ended * 1000))

    def _file(self, artifacts: str, name: str, text: str) -> None:
        """One small file of a run; asking the client for it costs three queries a file."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / name
            file.write_text(text, encoding="utf-8")
            get_artifact_repository(artifacts).log_artifact(str(file))  # type: ignore[no-untyped-call]

    def _curves(self, row: Row) -> dict[tuple[str, int], float]:
        """Each metric by its name and step: the mean and each fold's score an epoch, and the trial's own figures."""
        metric = self.search.metric
        points: dict[tuple[str, int], float] = {("seconds", 0): row.seconds, ("parameters", 0): row.parameters}
        if row.finite:
            points |= {("value", 0): row.value, ("epoch", 0): row.epoch}
        for epoch, scores in enumerate(row.curve, start=1):
            points |= {("train_loss", epoch): scores.loss, (f"validation/{metric}", epoch): scores.mean}
            points |= {(f"fold/{fold}/{metric}", epoch): score for fold, score in enumerate(scores.folds)}
        return points

    def _batch(
        self, run: str, parameters: Mapping[str, Any], points: Mapping[tuple[str, int], float], tags: Mapping[str, str]
    ) -> None:
        """Everything of a run in as few writes as MLflow allows."""
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for (name, step), value in points.items()]
        params = [Param(key, str(value)) for key, value in parameters.items()]
        tagged = [RunTag(key, value) for key, value in tags.items()]
        self.client.log_batch(run, metrics[: BATCH - 200], params, tagged, synchronous=True)
        for start in range(BATCH - 200, len(metrics), BATCH):
            self.client.log_batch(run, metrics[start : start + BATCH], synchronous=True)

    def leader(self, number: int, folder: Path) -> None:
        """The fold parameters of the best trial, to that trial's run."""
        with self._timed():
            query = f"tags.mlflow.parentRunId = '{self.run}' and tags.trial = '{number}'"
            for run in self.client.search_runs([self.experiment], query, max_results=1):
                self.client.log_artifacts(run.info.run_id, str(folder), "folds")

    def finish(self, summary: Mapping[str, Any], folder: Path) -> None:
        """The study's scores, its two tables and the model's two files; then the study's run is closed."""
        with self._timed():
            best, test, metric = summary["best"], summary["test"], self.search.metric
            points = {
                ("value", 0): best["cross_validation"]["mean"],
                (f"test/{metric}", 0): test["value"],
                (f"test/{metric}/low", 0): test["low"],
                (f"test/{metric}/high", 0): test["high"],
                ("parameters", 0): summary["parameters"],
            }
            points |= {(f"test/{name}", 0): value for name, value in test["others"].items()}
            if summary["baseline"] is not None:
                points["baseline/value", 0] = summary["baseline"]["cross_validation"]["mean"]
                points[f"baseline/test/{metric}", 0] = summary["baseline"]["test"]["value"]
            winner = f"trial {best['number']}, {number(test['value'], metric)} on the held-out test"
            self._batch(self.run, {}, points, {"winner": winner, "overrides": " ".join(best["overrides"])})
            for file in ("trials.csv", "summary.json"):
                self.client.log_artifact(self.run, str(folder / file))
            self.client.set_terminated(self.run)

    def register(self, folder: Path, question: Question, summary: Mapping[str, Any]) -> str:
        """A new version of the task's registered model, from a folder with its two files; says what became of it."""
        tags = _version_tags(question, summary)
        with self._timed():
            self.client.log_artifacts(self.run, str(folder), "model")
            try:
                self.client.create_registered_model(self.search.task)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            source = f"{self.client.get_run(self.run).info.artifact_uri}/model"
            version = self.client.create_model_version(self.search.task, source, self.run, tags=tags)
            alias, why = _alias(self._champion(), tags, maximise=self.search.metric != "mean_absolute_error")
            self.client.set_registered_model_alias(self.search.task, alias, version.version)
            return f"models:/{self.search.task}@{alias} (version {version.version}: {why})"

    def _champion(self) -> Mapping[str, str] | None:
        """The tags of the version that holds the alias, if one does."""
        try:
            return dict(self.client.get_model_version_by_alias(self.search.task, "champion").tags)
        except MlflowException:
            return None


def _version_tags(question: Question, summary: Mapping[str, Any]) -> dict[str, str]:
    """What decides, against a later version, which of the two is the champion."""
    return {
        "study": question.name,
        "drawn": str(question.examples.drawn).lower(),
        "test_rows": question.examples.take(question.splits.test).fingerprint,
        "folds": question.splits.fingerprint,
        "data": question.examples.fingerprint,
        "metric": question.task.metric,
        "cross_validation": repr(summary["best"]["cross_validation"]["mean"]),
    }


def _alias(champion: Mapping[str, str] | None, new: Mapping[str, str], *, maximise: bool) -> tuple[str, str]:
    """Whether a new version is the champion, and why; the test score never decides.

    A model of drawn pictures never takes the place of one of real data.
    """
    if champion is None:
        return "champion", "the first"
    if new["drawn"] != champion["drawn"]:
        real = new["drawn"] == "false"
        return ("champion", "real data replace drawn") if real else ("challenger", "drawn data never replace real")
    if new["data"] != champion["data"] and new["test_rows"] != champion["test_rows"]:
        return "champion", "it was tested on other rows than the champion before: the newest data win"
    differs = [name for name in ("data", "folds", "metric") if new[name] != champion[name]]
    if differs:
        return "challenger", f"its {' and '.join(differs)} are not the champion's: their scores cannot be compared"
    mine, theirs = float(new["cross_validation"]), float(champion["cross_validation"])
    if mine > theirs if maximise else mine < theirs:
        return "champion", "a better cross-validation score on the same folds"
    return "challenger", "no better cross-validation score than the champion's on the same folds"


def _client(search: Search) -> MlflowClient:
    """A client; the store's own database is made first, by one process at a time."""
    if search.tracking.uri:
        return MlflowClient(search.tracking.uri)
    file = search.store / "mlflow.db"
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    with FileLock(search.store / ".mlflow.lock"):
        fresh = not file.exists()
        client = MlflowClient(store_uri(search.store))
        client.search_experiments(max_results=1)
        if fresh:  # readers and writers then do not wait for each other
            with sqlite3.connect(file) as database:
                database.execute("PRAGMA journal_mode=WAL")
    return client


def _commit() -> dict[str, str]:
    """The code version, where the code lies in a git checkout."""
    here = Path(__file__).resolve().parent
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return {"mlflow.source.git.commit": found.stdout.strip()} if found.returncode == 0 else {}


def fetch(uri: str, store: Path) -> Path:
    """The folder of a registered model's two files, such as `models:/cat_species@champion`, copied where it is remote.

    Raises LookupError where the registry has no such model.
    """
    if not (store / "mlflow.db").is_file():
        raise LookupError(f"{uri}: no registry at {store}/mlflow.db; say store=<folder>, or search first")
    client = MlflowClient(store_uri(store))
    name, _, alias = uri.removeprefix("models:/").partition("@")
    try:
        if alias:
            version = client.get_model_version_by_alias(name, alias)
        else:
            name, _, number_ = name.partition("/")
            version = client.get_model_version(name, number_)
        run = client.get_run(str(version.run_id)).info
        path = str(version.source).removeprefix(f"{run.artifact_uri}/")
        return Path(client.download_artifacts(run.run_id, path, tempfile.mkdtemp(prefix="model-")))
    except MlflowException:
        known = ", ".join(sorted(found.name for found in client.search_registered_models())) or "no model at all"
        raise LookupError(f"{uri}: not in the registry of store={store}, which has {known}") from None
