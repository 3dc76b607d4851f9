"""MLflow's view of one study, brought up to date from the study's folder; what is there already stays as it is."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Run

from pipeline.display import number
from pipeline.record import Reader
from pipeline.tracking import description
from pipeline.tracking.client import connect, experiment
from pipeline.tracking.entries import Point, log, write
from pipeline.tracking.registry import register

CONCLUDED, REPORTED = "summary_sha256", "report_sha256"


class View:
    """Writes by ids, in batches, never through an active run; whatever it is killed in, the next one mends.

    rebuild: everything is written anew.
    """

    def __init__(self, folder: Path, *, rebuild: bool = False) -> None:
        self.folder, self.told = folder, description.read(folder)
        store = folder.resolve().parents[1]
        self.client = connect(self.told.uri, store)
        place = None if self.told.uri else str(store / "artifacts")
        self.experiment = experiment(self.client, self.told.task, place)
        run = self._study_run()
        tags = {} if rebuild else run.data.tags
        self.run, self.concluded, self.reported = run.info.run_id, tags.get(CONCLUDED, ""), tags.get(REPORTED, "")
        self.reader, self.latest = Reader(folder, self.told.study), 0.0
        self.numbers = self._present(rebuild)

    def _study_run(self) -> Run:
        """The study's run: the one of an earlier call, or a new one, which began with the first of its trials."""
        runs = self.client.search_runs([self.experiment], f"tags.study = '{self.told.study}' and tags.kind = 'study'")
        if runs:
            self.client.update_run(runs[0].info.run_id, status="RUNNING")
            return runs[0]
        tags = {"study": self.told.study, "kind": "study", "mlflow.source.name": "pipeline.search", **_commit()}
        begun = min(
            (row.ended - row.seconds for row in Reader(self.folder, self.told.study).rows()), default=time.time()
        )
        return self.client.create_run(self.experiment, int(begun * 1000), tags, self.told.study)

    def configure(self) -> None:
        """The study's configuration, and the data set as a logged input with its fingerprint."""
        told, client, rows = self.told, self.client, json.dumps(self.told.rows)
        log(client, self.run, {**told.facts, **told.rows}, [], {"fingerprint": told.fingerprint}, 0)
        client.log_text(self.run, told.configuration, "configuration.yaml")
        client.log_text(self.run, told.typed + "\n", "overrides.txt")
        source = json.dumps({"dataset": told.source})
        logged = Dataset(told.dataset, told.decides["data"][:36], "local", source, profile=rows)
        client.log_inputs(self.run, [DatasetInput(logged, [InputTag("mlflow.data.context", "training")])])

    def _present(self, rebuild: bool) -> set[int]:
        """The numbers of the trials whose runs are complete; half-written ones and second copies are removed."""
        numbers: set[int] = set()
        query, token = f"tags.mlflow.parentRunId = '{self.run}'", None
        while True:
            page = self.client.search_runs([self.experiment], query, max_results=1_000, page_token=token)
            for run in page:
                trial = int(run.data.tags["trial"])
                if rebuild or trial in numbers or run.info.status == "RUNNING":
                    self.client.delete_run(run.info.run_id)
                else:
                    numbers.add(trial)
            token = page.token
            if not token:
                return numbers

    def catch_up(self) -> int:
        """Writes the trials that have ended since the last call and are not there; how many it wrote."""
        written = 0
        for row in self.reader.rows():
            self.latest = max(self.latest, row.ended)
            if row.number not in self.numbers:
                write(self.client, self.experiment, self.run, self.told, row)
                self.numbers.add(row.number)
                written += 1
        return written

    def conclude(self) -> str | None:
        """The study's scores, its tables and its model, if it is over; closes its run.

        Returns what became of the model where it was registered just now.
        """
        file = self.folder / "summary.json"
        summary = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        if summary is None or summary["trials"]["total"] != len(self.numbers):
            self.client.set_terminated(self.run, "KILLED")
            return None
        content = json.dumps({key: value for key, value in summary.items() if key != "seconds"}, sort_keys=True)
        digest, stamp = hashlib.sha256(content.encode()).hexdigest(), int(self.latest * 1000)
        registered = None
        if digest != self.concluded:
            self._leader(summary["best"]["number"])
            self._scores(summary, stamp)
            self.client.log_artifacts(self.run, str(self.folder / "model"), "model")
            registered = register(self.client, self.run, self.folder / "model", self.told, summary)
            self.client.set_tag(self.run, CONCLUDED, digest)
        self._report()
        self.client.set_terminated(self.run, "FINISHED", stamp)
        return registered

    def _report(self) -> None:
        """The page and its figures, where there are newer ones than those that MLflow has."""
        page = self.folder / "report" / "report.html"
        digest = hashlib.sha256(page.read_bytes()).hexdigest() if page.is_file() else self.reported
        if digest != self.reported:
            self.client.log_artifacts(self.run, str(page.parent), "report")
            self.client.set_tag(self.run, REPORTED, digest)

    def _leader(self, trial: int) -> None:
        """The fold parameters of the best trial, to that trial's run."""
        query = f"tags.mlflow.parentRunId = '{self.run}' and tags.trial = '{trial}'"
        for run in self.client.search_runs([self.experiment], query, max_results=1):
            self.client.log_artifacts(run.info.run_id, str(self.folder / "leader" / str(trial)), "folds")

    def _scores(self, summary: dict[str, Any], stamp: int) -> None:
        """A point for each score, at the number of trials that it is of."""
        best, test, metric, trials = summary["best"], summary["test"], self.told.metric, summary["trials"]["total"]
        points: list[Point] = [
            ("value", trials, best["cross_validation"]["mean"]),
            (f"test/{metric}", trials, test["value"]),
            (f"test/{metric}/low", trials, test["low"]),
            (f"test/{metric}/high", trials, test["high"]),
            ("parameters", trials, summary["parameters"]),
        ]
        points += [(f"test/{name}", trials, value) for name, value in test["others"].items()]
        if summary["baseline"] is not None:
            points.append(("baseline/value", trials, summary["baseline"]["cross_validation"]["mean"]))
            points.append((f"baseline/test/{metric}", trials, summary["baseline"]["test"]["value"]))
        winner = f"trial {best['number']}, {number(test['value'], metric)} on the held-out test"
        log(self.client, self.run, {}, points, {"winner": winner, "overrides": " ".join(best["overrides"])}, stamp)
        for file in ("trials.csv", "summary.json"):
            self.client.log_artifact(self.run, str(self.folder / file))


def _commit() -> dict[str, str]:
    """The code version, where the code lies in a git checkout."""
    here = Path(__file__).resolve().parent
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return {"mlflow.source.git.commit": found.stdout.strip()} if found.returncode == 0 else {}
