"""MLflow's view of one study, brought up to date from the study's folder; what is there already stays as it is."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run

from pipeline.config.metrics import METRICS
from pipeline.study import description
from pipeline.study.formatting import format_score
from pipeline.study.storage import TrialStorageReader
from pipeline.study.summary import StudySummary, read_summary
from pipeline.tracking import descriptions, system_metrics, ui_views
from pipeline.tracking.client import connect, get_or_create_experiment
from pipeline.tracking.markdown import merge_note, truncate
from pipeline.tracking.registry import register_model
from pipeline.tracking.trial_runs import MAX_TAG_CHARS, METRICS_PER_BATCH, MetricPoint, log_run_data, log_trial

SUMMARY_DIGEST_TAG = "summary_sha256"
REPORT_FOLDER = "report"  # a folder of the study's
NOTE_TAG = "mlflow.note.content"
MAX_EXPERIMENT_NOTE_CHARS, MAX_RUN_NOTE_CHARS = 5_000, 8_000  # letters that MLflow takes
RUNS_PER_PAGE = 1_000  # runs that MLflow is asked for at a time
UNLOGGED_FACTS = ("space", "baseline", "head", "arithmetic")  # facts that are told in words elsewhere


class StudySync:
    """Writes by ids, in batches, never through an active run; whatever it is killed in, the next one mends.

    rebuild: everything is written anew.
    """

    def __init__(self, folder: Path, *, rebuild: bool = False) -> None:
        self.folder, self.description = folder, description.read_description(folder)
        store = folder.resolve().parents[1]
        self.client = connect(self.description.uri, store)
        artifact_location = None if self.description.uri else str(store / "artifacts")
        self.experiment_id = get_or_create_experiment(self.client, self.description.task, artifact_location)
        run = self._get_or_create_study_run()
        self.run_id, self.logged_digest = run.info.run_id, "" if rebuild else run.data.tags.get(SUMMARY_DIGEST_TAG, "")
        self.reader, self.latest_end_time = TrialStorageReader(folder, self.description.study), 0.0
        self.logged_trials = self._find_logged_trials(rebuild)
        self.metrics_position = 0, 0  # lines and bytes of the machine's load
        self.best_score = math.nan
        self.metric = METRICS[self.description.metric]

    def _get_or_create_study_run(self) -> Run:
        """The study's run: the one of an earlier call, or a new one, which began with the first of its trials."""
        runs = self.client.search_runs(
            [self.experiment_id], f"tags.study = '{self.description.study}' and tags.kind = 'study'"
        )
        if runs:
            self.client.update_run(runs[0].info.run_id, status="RUNNING")
            return runs[0]
        commit = self.description.environment.get("commit")
        tags = {"study": self.description.study, "kind": "study", "mlflow.source.name": "pipeline.search"}
        tags |= {"mlflow.source.git.commit": commit} if commit else {}
        start_time = min(
            (
                row.end_time - row.seconds
                for row in TrialStorageReader(self.folder, self.description.study).read_new_trials()
            ),
            default=time.time(),
        )
        return self.client.create_run(self.experiment_id, int(start_time * 1000), tags, self.description.study)

    def log_configuration(self) -> None:
        """What the study is asked, of which data, with what; and how its experiment is looked at."""
        study_description, client, row_counts = self.description, self.client, json.dumps(self.description.rows)
        facts = {key: value for key, value in study_description.facts.items() if key not in UNLOGGED_FACTS}
        log_run_data(
            client,
            self.run_id,
            {**facts, **study_description.rows, **study_description.fixed},
            [],
            {"fingerprint": study_description.fingerprint},
            0,
        )
        environment = "".join(f"{name} {version}\n" for name, version in study_description.environment.items())
        texts = {"configuration.yaml": study_description.configuration, "overrides.txt": study_description.typed + "\n"}
        for file, text in {**texts, "environment.txt": environment}.items():
            client.log_text(self.run_id, text, file)
        source = json.dumps({"dataset": study_description.source})
        dataset = Dataset(
            study_description.dataset, study_description.decides["data"][:36], "local", source, profile=row_counts
        )
        client.log_inputs(self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        self._update_experiment_page()
        self._update_run_note(
            descriptions.describe_unfinished_study(study_description, len(self.logged_trials), is_stopped=False)
        )

    def _update_experiment_page(self) -> None:
        """The experiment's own page, and the views that it offers, but for those that a person has changed."""
        existing_tags = self.client.get_experiment(self.experiment_id).tags
        generated_note = descriptions.describe_experiment(
            self.description, self._format_link("All trials as a table", ui_views.TRIALS_VIEW) + "."
        )
        new_tags = ui_views.build_view_tags(self.description.metric, list(self.description.searched))
        new_tags = {key: value for key, value in new_tags.items() if key not in existing_tags}
        new_tags[NOTE_TAG] = merge_note(generated_note, existing_tags.get(NOTE_TAG), MAX_EXPERIMENT_NOTE_CHARS)
        for key, value in new_tags.items():
            if existing_tags.get(key) != value:
                self.client.set_experiment_tag(self.experiment_id, key, value)

    def _format_link(self, text: str, view_key: str) -> str:
        return f"[{text}]({ui_views.format_experiment_link(self.experiment_id, view_key)})"

    def _update_run_note(self, generated_note: str) -> None:
        """The study's own page."""
        existing_note = self.client.get_run(self.run_id).data.tags.get(NOTE_TAG)
        self.client.set_tag(self.run_id, NOTE_TAG, merge_note(generated_note, existing_note, MAX_RUN_NOTE_CHARS))

    def _find_logged_trials(self, rebuild: bool) -> set[int]:
        """The numbers of the trials whose runs are complete; half-written ones and second copies are removed."""
        numbers: set[int] = set()
        for run in self._search_trial_runs():
            trial_number = int(run.data.tags["trial"])
            if rebuild or trial_number in numbers or run.info.status == "RUNNING":
                self.client.delete_run(run.info.run_id)
            else:
                numbers.add(trial_number)
        return numbers

    def _search_trial_runs(self) -> list[Run]:
        """The runs of all trials, read to the end: pages are counted from the first run that is still there."""
        runs, filter_string, page_token = list[Run](), f"tags.mlflow.parentRunId = '{self.run_id}'", None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], filter_string, max_results=RUNS_PER_PAGE, page_token=page_token
            )
            runs += page
            page_token = page.token
            if not page_token:
                return runs

    def log_new_trials(self) -> int:
        """Writes the trials that have ended since the last call and are not there; how many it wrote."""
        written_count, metrics = 0, list[Metric]()
        for trial in self.reader.read_new_trials():
            self.latest_end_time = max(self.latest_end_time, trial.end_time)
            if trial.number not in self.logged_trials:
                log_trial(self.client, self.experiment_id, self.run_id, self.description, trial)
                self.logged_trials.add(trial.number)
                written_count += 1
            if trial.is_finite:
                if self.metric.is_better(trial.value, self.best_score):
                    self.best_score = trial.value
                metrics.append(
                    Metric("best_so_far", self.best_score, int(trial.end_time * 1000), self.reader.n_read + 1)
                )
        metrics += self._read_system_metrics()
        for start in range(0, len(metrics), METRICS_PER_BATCH):  # points that are there already stay as they are
            self.client.log_batch(self.run_id, metrics[start : start + METRICS_PER_BATCH], synchronous=True)
        return written_count

    def _read_system_metrics(self) -> list[Metric]:
        """The machine's load since the last call, as MLflow's system metrics."""
        metrics: list[Metric] = []
        lines, size = self.metrics_position
        if (new_size := system_metrics.get_file_size(self.folder)) == size:
            return metrics
        for line, seconds, measurements in system_metrics.read_measurements(self.folder, lines):
            lines, timestamp_ms = line + 1, int(seconds * 1000)
            metrics += [Metric(f"system/{name}", value, timestamp_ms, line) for name, value in measurements.items()]
        self.metrics_position = lines, new_size
        return metrics

    def finalize(self) -> str | None:
        """The study's scores, its tables and its model, if it is over; closes its run.

        Returns what became of the model where it was registered just now.
        """
        summary = read_summary(self.folder)
        if summary is None or summary.trials.total != len(self.logged_trials):
            self._update_run_note(
                descriptions.describe_unfinished_study(self.description, len(self.logged_trials), is_stopped=True)
            )
            self.client.set_terminated(self.run_id, "KILLED")
            return None
        digest, timestamp_ms, registration_message = (
            self._compute_digest(summary),
            int(self.latest_end_time * 1000),
            None,
        )
        if digest != self.logged_digest:
            self._mark_best_trial(summary.best.number)
            self._log_scores(summary, timestamp_ms)
            for subfolder in ("model", REPORT_FOLDER):
                if (self.folder / subfolder).is_dir():
                    self.client.log_artifacts(self.run_id, str(self.folder / subfolder), subfolder)
            registration_message = register_model(
                self.client, self.run_id, self.folder / "model", self.description, summary
            )
            self.client.set_tag(self.run_id, SUMMARY_DIGEST_TAG, digest)
        self._update_run_note(
            descriptions.describe_study(
                self.description, summary, self._format_link("All trials as a table", ui_views.TRIALS_VIEW) + "."
            )
        )
        self.client.set_terminated(self.run_id, "FINISHED", timestamp_ms)
        return registration_message

    def _compute_digest(self, summary: StudySummary) -> str:
        """What MLflow has of a finished study, in one word: its summary, but for times, and its report."""
        content = json.dumps({key: value for key, value in asdict(summary).items() if key != "seconds"}, sort_keys=True)
        digest = hashlib.sha256(content.encode())
        for file in sorted((self.folder / REPORT_FOLDER).rglob("*")):
            if file.is_file():
                digest.update(f"{file.relative_to(self.folder)}".encode() + file.read_bytes())
        return digest.hexdigest()

    def _mark_best_trial(self, trial_number: int) -> None:
        """The fold parameters of the best trial, to that trial's run, and a tag that tells it from the others."""
        child_filter = f"tags.mlflow.parentRunId = '{self.run_id}'"
        for run in self.client.search_runs([self.experiment_id], f"{child_filter} and tags.winner = 'true'"):
            if run.data.tags["trial"] != str(trial_number):
                self.client.delete_tag(run.info.run_id, "winner")
        for run in self.client.search_runs(
            [self.experiment_id], f"{child_filter} and tags.trial = '{trial_number}'", max_results=1
        ):
            self.client.set_tag(run.info.run_id, "winner", "true")
            self.client.log_artifacts(run.info.run_id, str(self.folder / "leader" / str(trial_number)), "folds")

    def _log_scores(self, summary: StudySummary, timestamp_ms: int) -> None:
        """A point for each score, at the number of trials that it is of."""
        best, test, metric, trial_count = (
            summary.best,
            summary.test,
            self.description.metric,
            summary.trials.total,
        )
        cross_validation, baseline = best.cross_validation, summary.baseline
        points: list[MetricPoint] = [
            ("score", trial_count, cross_validation.mean),
            ("standard_error", trial_count, cross_validation.standard_error),
            (f"test/{metric}", trial_count, test.value),
            (f"test/{metric}/low", trial_count, test.low),
            (f"test/{metric}/high", trial_count, test.high),
            ("parameters", trial_count, summary.parameters),
            ("seconds", trial_count, summary.seconds.training),
        ]
        points += [(f"test/{name}", trial_count, value) for name, value in test.others.items()]
        if baseline is not None:
            points.append(("baseline/score", trial_count, baseline.cross_validation.mean))
            points.append((f"baseline/test/{metric}", trial_count, baseline.test.value))
        winner = f"trial {best.number}, {format_score(test.value, metric)} on the held-out test"
        overrides = truncate(" ".join(best.overrides), MAX_TAG_CHARS)
        log_run_data(self.client, self.run_id, {}, points, {"winner": winner, "overrides": overrides}, timestamp_ms)
        for file in ("trials.csv", "summary.json"):
            self.client.log_artifact(self.run_id, str(self.folder / file))
