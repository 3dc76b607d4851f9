"""Synchronization of one study with MLflow, from the files in the study's folder."""

import hashlib
import json
import math
import time
from functools import partial
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run

from pipeline.config.metrics import METRICS
from pipeline.study.description import read_description
from pipeline.study.formatting import format_score
from pipeline.study.storage import TrialStorageReader
from pipeline.study.summary import StudySummary, read_summary
from pipeline.tracking import descriptions, system_metrics, ui_views
from pipeline.tracking.client import connect, get_or_create_experiment
from pipeline.tracking.markdown import merge_note, truncate
from pipeline.tracking.registry import register_model
from pipeline.tracking.trial_runs import MAX_TAG_CHARS, METRICS_PER_BATCH, log_run_data, log_trial

SUMMARY_DIGEST_TAG = "summary_sha256"
REPORT_FOLDER = "report"  # in the study's folder and among the run's artifacts
NOTE_TAG = "mlflow.note.content"
MAX_EXPERIMENT_NOTE_CHARS = 5_000  # MLflow's limits
MAX_RUN_NOTE_CHARS = 8_000
RUNS_PER_PAGE = 1_000
UNLOGGED_FACTS = ("space", "baseline", "head", "arithmetic")  # the study's description has them in words


class StudySync:
    """Idempotent writer of a study to MLflow: batches by run id, no active run; a new instance repairs a partial write.

    rebuild: write everything again, also what MLflow has.
    """

    def __init__(self, folder: Path, *, rebuild: bool = False) -> None:
        self.folder = folder
        self.description = read_description(folder)
        store = folder.resolve().parents[1]
        self.client = connect(self.description.uri, store)
        artifact_location = None if self.description.uri else str(store / "artifacts")
        self.experiment_id = get_or_create_experiment(self.client, self.description.task, artifact_location)
        trials_link = ui_views.format_experiment_link(self.experiment_id, ui_views.TRIALS_VIEW)
        self.trials_link = f"[All trials as a table]({trials_link})."
        run = self._get_or_create_study_run()
        self.run_id = run.info.run_id
        self.logged_digest = "" if rebuild else run.data.tags.get(SUMMARY_DIGEST_TAG, "")
        self.reader = TrialStorageReader(folder, self.description.study)
        self.latest_end_time = 0.0
        self.best_score = math.nan
        self.logged_trials = self._find_logged_trials(rebuild)
        self.logged_measurements = 0  # lines of the file of system metrics
        self.measurements_size = 0  # bytes of that file

    def _get_or_create_study_run(self) -> Run:
        """Return the study's run, reopened, or a new one that starts with the study's first trial."""
        study = self.description.study
        runs = self.client.search_runs([self.experiment_id], f"tags.study = '{study}' and tags.kind = 'study'")
        if runs:
            self.client.update_run(runs[0].info.run_id, status="RUNNING")
            return runs[0]
        tags = {"study": study, "kind": "study", "mlflow.source.name": "pipeline.search"}
        if commit := self.description.environment.get("commit"):
            tags["mlflow.source.git.commit"] = commit
        trials = TrialStorageReader(self.folder, study).read_new_trials()
        start_time = min((trial.end_time - trial.seconds for trial in trials), default=time.time())
        return self.client.create_run(self.experiment_id, int(start_time * 1000), tags, study)

    def log_configuration(self) -> None:
        """Write the study's data, configuration and environment, and the notes and views of MLflow's pages."""
        study = self.description
        facts = {key: value for key, value in study.facts.items() if key not in UNLOGGED_FACTS}
        tags = {"fingerprint": study.fingerprint}
        log_run_data(self.client, self.run_id, {**facts, **study.rows, **study.fixed}, [], tags)
        environment = "".join(f"{name} {version}\n" for name, version in study.environment.items())
        self.client.log_text(self.run_id, study.configuration, "configuration.yaml")
        self.client.log_text(self.run_id, study.typed + "\n", "overrides.txt")
        self.client.log_text(self.run_id, environment, "environment.txt")
        source = json.dumps({"dataset": study.source})
        digest = study.decides["data"][:36]  # MLflow's limit
        dataset = Dataset(study.dataset, digest, "local", source, profile=json.dumps(study.rows))
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        self._update_experiment()
        self._update_run_note(descriptions.describe_unfinished_study(study, len(self.logged_trials), is_stopped=False))

    def _update_experiment(self) -> None:
        """Write the experiment's note, and those of its views that nobody has changed on MLflow's page."""
        old_tags = self.client.get_experiment(self.experiment_id).tags
        views = ui_views.build_view_tags(self.description.metric, list(self.description.searched))
        note = descriptions.describe_experiment(self.description, self.trials_link)
        tags = views | old_tags | {NOTE_TAG: merge_note(note, old_tags.get(NOTE_TAG), MAX_EXPERIMENT_NOTE_CHARS)}
        for key, value in tags.items():
            if old_tags.get(key) != value:
                self.client.set_experiment_tag(self.experiment_id, key, value)

    def _update_run_note(self, note: str) -> None:
        old_note = self.client.get_run(self.run_id).data.tags.get(NOTE_TAG)
        self.client.set_tag(self.run_id, NOTE_TAG, merge_note(note, old_note, MAX_RUN_NOTE_CHARS))

    def _find_logged_trials(self, rebuild: bool) -> set[int]:
        """Return the numbers of the trials whose runs are complete; delete partial runs and duplicates."""
        trial_filter = f"tags.mlflow.parentRunId = '{self.run_id}'"
        search = partial(self.client.search_runs, [self.experiment_id], trial_filter, max_results=RUNS_PER_PAGE)
        page = search()
        runs = list(page)
        while page.token:  # read to the end before any run is deleted, since a page token is an offset
            page = search(page_token=page.token)
            runs += page
        numbers: set[int] = set()
        for run in runs:
            trial_number = int(run.data.tags["trial"])
            if rebuild or trial_number in numbers or run.info.status == "RUNNING":
                self.client.delete_run(run.info.run_id)
            else:
                numbers.add(trial_number)
        return numbers

    def log_new_trials(self) -> int:
        """Write the trials that finished since the last call and are not in MLflow yet; return their number."""
        written_count = 0
        metrics = self._read_system_metrics()
        for trial in self.reader.read_new_trials():
            self.latest_end_time = max(self.latest_end_time, trial.end_time)
            if trial.number not in self.logged_trials:
                log_trial(self.client, self.experiment_id, self.run_id, self.description, trial)
                self.logged_trials.add(trial.number)
                written_count += 1
            if METRICS[self.description.metric].is_better(trial.value, self.best_score):
                self.best_score = trial.value
            if trial.is_finite:
                timestamp_ms = int(trial.end_time * 1000)
                metrics.append(Metric("best_so_far", self.best_score, timestamp_ms, self.reader.n_read + 1))
        for start in range(0, len(metrics), METRICS_PER_BATCH):  # MLflow ignores points that it has
            self.client.log_batch(self.run_id, metrics[start : start + METRICS_PER_BATCH], synchronous=True)
        return written_count

    def _read_system_metrics(self) -> list[Metric]:
        """Return what was measured since the last call, as MLflow's system metrics."""
        metrics: list[Metric] = []
        file = self.folder / system_metrics.SYSTEM_METRICS_FILE
        size = file.stat().st_size if file.is_file() else 0
        if size != self.measurements_size:
            self.measurements_size = size
            for line, seconds, values in system_metrics.read_measurements(self.folder, self.logged_measurements):
                self.logged_measurements = line + 1
                metrics += [Metric(f"system/{key}", value, int(seconds * 1000), line) for key, value in values.items()]
        return metrics

    def finalize(self) -> str | None:
        """Write the scores, tables and model of a finished study, and close its run; otherwise mark the run as killed.

        Returns a message if the model was registered by this call.
        """
        summary = read_summary(self.folder)
        n_logged = len(self.logged_trials)
        if summary is None or summary.trials.total != n_logged:
            self._update_run_note(descriptions.describe_unfinished_study(self.description, n_logged, is_stopped=True))
            self.client.set_terminated(self.run_id, "KILLED")
            return None
        registration_message = None
        digest = _compute_digest(self.folder, summary)
        timestamp_ms = int(self.latest_end_time * 1000)
        if digest != self.logged_digest:
            self._mark_best_trial(summary.best.number)
            self._log_scores(summary, timestamp_ms)
            model_folder = self.folder / "model"
            for artifacts_folder in (model_folder, self.folder / REPORT_FOLDER):
                if artifacts_folder.is_dir():
                    self.client.log_artifacts(self.run_id, str(artifacts_folder), artifacts_folder.name)
            registration_message = register_model(self.client, self.run_id, model_folder, self.description, summary)
            self.client.set_tag(self.run_id, SUMMARY_DIGEST_TAG, digest)
        self._update_run_note(descriptions.describe_study(self.description, summary, self.trials_link))
        self.client.set_terminated(self.run_id, "FINISHED", timestamp_ms)
        return registration_message

    def _mark_best_trial(self, trial_number: int) -> None:
        """Set the tag `winner` on the run of the best trial alone, and log its fold parameters there."""
        trial_filter = f"tags.mlflow.parentRunId = '{self.run_id}' and tags."
        for run in self.client.search_runs([self.experiment_id], f"{trial_filter}winner = 'true'"):
            if run.data.tags["trial"] != str(trial_number):
                self.client.delete_tag(run.info.run_id, "winner")
        for run in self.client.search_runs([self.experiment_id], f"{trial_filter}trial = '{trial_number}'"):
            self.client.set_tag(run.info.run_id, "winner", "true")
            self.client.log_artifacts(run.info.run_id, str(self.folder / "leader" / str(trial_number)), "folds")

    def _log_scores(self, summary: StudySummary, timestamp_ms: int) -> None:
        """Write the scores of the winner and the baseline; their step is the number of trials."""
        metric = self.description.metric
        best = summary.best
        test = summary.test
        scores = {
            "score": best.cross_validation.mean,
            "standard_error": best.cross_validation.standard_error,
            f"test/{metric}": test.value,
            f"test/{metric}/low": test.low,
            f"test/{metric}/high": test.high,
            "parameters": summary.parameters,
            "seconds": summary.seconds.training,
            **{f"test/{name}": value for name, value in test.others.items()},
        }
        if summary.baseline is not None:
            scores["baseline/score"] = summary.baseline.cross_validation.mean
            scores[f"baseline/test/{metric}"] = summary.baseline.test.value
        metrics = [Metric(name, value, timestamp_ms, summary.trials.total) for name, value in scores.items()]
        tags = {
            "winner": f"trial {best.number}, {format_score(test.value, metric)} on the held-out test",
            "overrides": truncate(" ".join(best.overrides), MAX_TAG_CHARS),
        }
        log_run_data(self.client, self.run_id, {}, metrics, tags)
        for file in ("trials.csv", "summary.json"):
            self.client.log_artifact(self.run_id, str(self.folder / file))


def _compute_digest(folder: Path, summary: StudySummary) -> str:
    """Return the SHA-256 of the summary, without its times, and of the report."""
    content = json.loads(summary.to_json())
    del content["seconds"]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for file in sorted((folder / REPORT_FOLDER).rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(folder)}".encode() + file.read_bytes())
    return digest.hexdigest()
