"""MLflow's view of one study, brought up to date from the study's folder; what is there already stays as it is."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run

from pipeline.study import description
from pipeline.study.storage import Reader
from pipeline.tracking import descriptions, system_metrics, ui_views
from pipeline.tracking.client import connect, experiment
from pipeline.tracking.markdown import note, shortened
from pipeline.tracking.registry import register
from pipeline.tracking.trial_runs import BATCH, LONGEST, Point, log, write
from pipeline.tuner.live_display import number

CONCLUDED = "summary_sha256"
REPORT = "report"  # a folder of the study's
NOTE = "mlflow.note.content"
LONGEST_EXPERIMENT, LONGEST_RUN = 5_000, 8_000  # letters that MLflow takes
PAGE = 1_000  # runs that MLflow is asked for at a time
LONG = ("space", "baseline", "head", "arithmetic")  # facts that are told in words elsewhere


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
        self.run, self.concluded = run.info.run_id, "" if rebuild else run.data.tags.get(CONCLUDED, "")
        self.reader, self.latest = Reader(folder, self.told.study), 0.0
        self.numbers = self._present(rebuild)
        self.measured = 0, 0  # lines and bytes of the machine's load
        self.best, self.better = math.nan, min if self.told.metric == "mean_absolute_error" else max

    def _study_run(self) -> Run:
        """The study's run: the one of an earlier call, or a new one, which began with the first of its trials."""
        runs = self.client.search_runs([self.experiment], f"tags.study = '{self.told.study}' and tags.kind = 'study'")
        if runs:
            self.client.update_run(runs[0].info.run_id, status="RUNNING")
            return runs[0]
        commit = self.told.environment.get("commit")
        tags = {"study": self.told.study, "kind": "study", "mlflow.source.name": "pipeline.search"}
        tags |= {"mlflow.source.git.commit": commit} if commit else {}
        begun = min(
            (row.ended - row.seconds for row in Reader(self.folder, self.told.study).rows()), default=time.time()
        )
        return self.client.create_run(self.experiment, int(begun * 1000), tags, self.told.study)

    def configure(self) -> None:
        """What the study is asked, of which data, with what; and how its experiment is looked at."""
        told, client, rows = self.told, self.client, json.dumps(self.told.rows)
        facts = {key: value for key, value in told.facts.items() if key not in LONG}
        log(client, self.run, {**facts, **told.rows, **told.fixed}, [], {"fingerprint": told.fingerprint}, 0)
        environment = "".join(f"{name} {version}\n" for name, version in told.environment.items())
        texts = {"configuration.yaml": told.configuration, "overrides.txt": told.typed + "\n"}
        for file, text in {**texts, "environment.txt": environment}.items():
            client.log_text(self.run, text, file)
        source = json.dumps({"dataset": told.source})
        logged = Dataset(told.dataset, told.decides["data"][:36], "local", source, profile=rows)
        client.log_inputs(self.run, [DatasetInput(logged, [InputTag("mlflow.data.context", "training")])])
        self._introduce()
        self._describe(descriptions.begun(told, len(self.numbers), over=False))

    def _introduce(self) -> None:
        """The experiment's own page, and the views that it offers, but for those that a person has changed."""
        there = self.client.get_experiment(self.experiment).tags
        ours = descriptions.task(self.told, self._link("All trials as a table", ui_views.TRIALS) + ".")
        wanted = ui_views.tags(self.told.metric, list(self.told.searched))
        wanted = {key: value for key, value in wanted.items() if key not in there}
        wanted[NOTE] = note(ours, there.get(NOTE), LONGEST_EXPERIMENT)
        for key, value in wanted.items():
            if there.get(key) != value:
                self.client.set_experiment_tag(self.experiment, key, value)

    def _link(self, words: str, view: str) -> str:
        return f"[{words}]({ui_views.link(self.experiment, view)})"

    def _describe(self, ours: str) -> None:
        """The study's own page."""
        before = self.client.get_run(self.run).data.tags.get(NOTE)
        self.client.set_tag(self.run, NOTE, note(ours, before, LONGEST_RUN))

    def _present(self, rebuild: bool) -> set[int]:
        """The numbers of the trials whose runs are complete; half-written ones and second copies are removed."""
        numbers: set[int] = set()
        for run in self._trials():
            trial = int(run.data.tags["trial"])
            if rebuild or trial in numbers or run.info.status == "RUNNING":
                self.client.delete_run(run.info.run_id)
            else:
                numbers.add(trial)
        return numbers

    def _trials(self) -> list[Run]:
        """The runs of all trials, read to the end: pages are counted from the first run that is still there."""
        runs, query, token = list[Run](), f"tags.mlflow.parentRunId = '{self.run}'", None
        while True:
            page = self.client.search_runs([self.experiment], query, max_results=PAGE, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    def catch_up(self) -> int:
        """Writes the trials that have ended since the last call and are not there; how many it wrote."""
        written, history = 0, list[Metric]()
        for row in self.reader.rows():
            self.latest = max(self.latest, row.ended)
            if row.number not in self.numbers:
                write(self.client, self.experiment, self.run, self.told, row)
                self.numbers.add(row.number)
                written += 1
            if row.finite:
                self.best = self.better(row.value, row.value if math.isnan(self.best) else self.best)
                history.append(Metric("best_so_far", self.best, int(row.ended * 1000), self.reader.read + 1))
        history += self._load()
        for start in range(0, len(history), BATCH):  # points that are there already stay as they are
            self.client.log_batch(self.run, history[start : start + BATCH], synchronous=True)
        return written

    def _load(self) -> list[Metric]:
        """The machine's load since the last call, as MLflow's system metrics."""
        points: list[Metric] = []
        lines, size = self.measured
        if (now := system_metrics.size(self.folder)) == size:
            return points
        for line, seconds, measured in system_metrics.read(self.folder, lines):
            lines, stamp = line + 1, int(seconds * 1000)
            points += [Metric(f"system/{name}", value, stamp, line) for name, value in measured.items()]
        self.measured = lines, now
        return points

    def conclude(self) -> str | None:
        """The study's scores, its tables and its model, if it is over; closes its run.

        Returns what became of the model where it was registered just now.
        """
        file = self.folder / "summary.json"
        summary = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        if summary is None or summary["trials"]["total"] != len(self.numbers):
            self._describe(descriptions.begun(self.told, len(self.numbers), over=True))
            self.client.set_terminated(self.run, "KILLED")
            return None
        digest, stamp, registered = self._digest(summary), int(self.latest * 1000), None
        if digest != self.concluded:
            self._leader(summary["best"]["number"])
            self._scores(summary, stamp)
            for part in ("model", REPORT):
                if (self.folder / part).is_dir():
                    self.client.log_artifacts(self.run, str(self.folder / part), part)
            registered = register(self.client, self.run, self.folder / "model", self.told, summary)
            self.client.set_tag(self.run, CONCLUDED, digest)
        self._describe(
            descriptions.study(self.told, summary, self._link("All trials as a table", ui_views.TRIALS) + ".")
        )
        self.client.set_terminated(self.run, "FINISHED", stamp)
        return registered

    def _digest(self, summary: Mapping[str, Any]) -> str:
        """What MLflow has of a finished study, in one word: its summary, but for times, and its report."""
        content = json.dumps({key: value for key, value in summary.items() if key != "seconds"}, sort_keys=True)
        digest = hashlib.sha256(content.encode())
        for file in sorted((self.folder / REPORT).rglob("*")):
            if file.is_file():
                digest.update(f"{file.relative_to(self.folder)}".encode() + file.read_bytes())
        return digest.hexdigest()

    def _leader(self, trial: int) -> None:
        """The fold parameters of the best trial, to that trial's run, and a tag that tells it from the others."""
        children = f"tags.mlflow.parentRunId = '{self.run}'"
        for run in self.client.search_runs([self.experiment], f"{children} and tags.winner = 'true'"):
            if run.data.tags["trial"] != str(trial):
                self.client.delete_tag(run.info.run_id, "winner")
        for run in self.client.search_runs([self.experiment], f"{children} and tags.trial = '{trial}'", max_results=1):
            self.client.set_tag(run.info.run_id, "winner", "true")
            self.client.log_artifacts(run.info.run_id, str(self.folder / "leader" / str(trial)), "folds")

    def _scores(self, summary: dict[str, Any], stamp: int) -> None:
        """A point for each score, at the number of trials that it is of."""
        best, test, metric, trials = summary["best"], summary["test"], self.told.metric, summary["trials"]["total"]
        validated, baseline = best["cross_validation"], summary["baseline"]
        points: list[Point] = [
            ("score", trials, validated["mean"]),
            ("standard_error", trials, validated["standard_error"]),
            (f"test/{metric}", trials, test["value"]),
            (f"test/{metric}/low", trials, test["low"]),
            (f"test/{metric}/high", trials, test["high"]),
            ("parameters", trials, summary["parameters"]),
            ("seconds", trials, summary["seconds"]["training"]),
        ]
        points += [(f"test/{name}", trials, value) for name, value in test["others"].items()]
        if baseline is not None:
            points.append(("baseline/score", trials, baseline["cross_validation"]["mean"]))
            points.append((f"baseline/test/{metric}", trials, baseline["test"]["value"]))
        winner = f"trial {best['number']}, {number(test['value'], metric)} on the held-out test"
        overrides = shortened(" ".join(best["overrides"]), LONGEST)
        log(self.client, self.run, {}, points, {"winner": winner, "overrides": overrides}, stamp)
        for file in ("trials.csv", "summary.json"):
            self.client.log_artifact(self.run, str(self.folder / file))
