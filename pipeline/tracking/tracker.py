"""Writes one study to MLflow, from its configuration to its registered model."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException

from pipeline.config.schema import Search
from pipeline.display import network, number
from pipeline.question import Question
from pipeline.study import Row
from pipeline.tracking.client import connect, uri
from pipeline.tracking.entries import Entry, Point, log, write
from pipeline.tracking.writer import Writer

PATIENCE = 1.0  # seconds


class Tracker:
    """Writes one study to MLflow: by ids, in batches, never through an active run.

    seconds: what it has cost so far.
    """

    def __init__(self, search: Search, study: str) -> None:
        self.search, self.study, self.seconds = search, study, 0.0
        with self._timed():
            self.client = connect(search)
            self.experiment = self._experiment()
            self.run = self._study_run()
        self.lock = search.store / f".tracking-{self.run}.lock"
        self.writer: Writer | None = None
        self.written, self.broken = 0.0, False

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
            log(self.client, self.run, {**question.facts, **rows}, [], {"fingerprint": question.fingerprint})
            self.client.log_text(self.run, self.search.yaml, "configuration.yaml")
            self.client.log_text(self.run, " ".join(self.search.typed) + "\n", "overrides.txt")
            kind, source = self.search.dataset.kind, json.dumps({"dataset": repr(self.search.dataset)})
            logged = Dataset(kind, examples.fingerprint[:36], "local", source, profile=json.dumps(rows))
            self.client.log_inputs(self.run, [DatasetInput(logged, [InputTag("mlflow.data.context", "training")])])

    def logged_trials(self) -> set[int]:
        """The numbers of the trials whose runs are complete; half-written ones are removed.

        A writer that an earlier call left is waited for.
        """
        with self._timed(), FileLock(self.lock):
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
        """One finished trial as a nested run: parameters, curves, value, state, reason, architecture.

        Once this has taken as long as a process of its own takes to start, such a process writes the others.
        """
        with self._timed():
            entry, begin = self._entry(row, architecture), time.monotonic()
            if self.writer is None and self.written > PATIENCE and not self.broken:
                self.writer = Writer(uri(self.search), self.experiment, self.lock)
            if self.writer is not None:
                try:
                    self.writer.add(entry)
                    return
                except BrokenPipeError:
                    self.flush()
            write(self.client, self.experiment, entry)
            self.written += time.monotonic() - begin

    def flush(self) -> None:
        """Waits for the writer, if there is one; what it did not write is found by `logged_trials`."""
        if self.writer is not None:
            with self._timed():
                self.broken = not self.writer.finish() or self.broken
            self.writer = None

    def _entry(self, row: Row, architecture: str) -> Entry:
        tags = {"mlflow.parentRunId": self.run, "study": self.study, "kind": "trial", "trial": str(row.number)}
        return Entry(
            name=f"trial {row.number}: {network(str(row.fields['model.nodes']))}",
            start=int((row.ended - row.seconds) * 1000),
            end=int(row.ended * 1000),
            status="FINISHED" if row.state in ("complete", "pruned") else "FAILED",
            tags=tags | {"state": row.state, "reason": row.reason},
            parameters={key: str(value) for key, value in row.fields.items() if value != ""},
            points=self._curves(row),
            architecture=architecture,
        )

    def _curves(self, row: Row) -> list[Point]:
        """The trial's own figures; the mean and each fold's score an epoch."""
        metric = self.search.metric
        points: list[Point] = [("seconds", 0, row.seconds), ("parameters", 0, row.parameters)]
        if row.finite:
            points += [("value", 0, row.value), ("epoch", 0, row.epoch)]
        for epoch, scores in enumerate(row.curve, start=1):
            points += [("train_loss", epoch, scores.loss), (f"validation/{metric}", epoch, scores.mean)]
            points += [(f"fold/{fold}/{metric}", epoch, score) for fold, score in enumerate(scores.folds)]
        return points

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
            points: list[Point] = [
                ("value", 0, best["cross_validation"]["mean"]),
                (f"test/{metric}", 0, test["value"]),
                (f"test/{metric}/low", 0, test["low"]),
                (f"test/{metric}/high", 0, test["high"]),
                ("parameters", 0, summary["parameters"]),
            ]
            points += [(f"test/{name}", 0, value) for name, value in test["others"].items()]
            if summary["baseline"] is not None:
                points.append(("baseline/value", 0, summary["baseline"]["cross_validation"]["mean"]))
                points.append((f"baseline/test/{metric}", 0, summary["baseline"]["test"]["value"]))
            winner = f"trial {best['number']}, {number(test['value'], metric)} on the held-out test"
            log(self.client, self.run, {}, points, {"winner": winner, "overrides": " ".join(best["overrides"])})
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


def _commit() -> dict[str, str]:
    """The code version, where the code lies in a git checkout."""
    here = Path(__file__).resolve().parent
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return {"mlflow.source.git.commit": found.stdout.strip()} if found.returncode == 0 else {}
