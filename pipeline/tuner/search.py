"""One call of the search, in four steps: prepare the problem, run the trials, refit the winner, publish the result."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from pipeline.config import follow_up_commands
from pipeline.config.schema import Search
from pipeline.preprocessing import TableInputs
from pipeline.report import build
from pipeline.runtime.files import FileWriteError
from pipeline.runtime.signals import SignalGuard
from pipeline.study import proposal_batches, space, summary
from pipeline.study.description import StudyDescription
from pipeline.study.library_versions import library_versions
from pipeline.study.problem import Problem, build_problem
from pipeline.study.study import Study
from pipeline.study.summary import RefitResult, SecondsSpent, StudySummary
from pipeline.study.summary_builder import build_summary
from pipeline.study.trial_record import TrialRecord
from pipeline.tracking.process import Tracker
from pipeline.training.fit import gc_unfrozen_on_exit
from pipeline.tuner import executors, results_table
from pipeline.tuner.executors import InProcessExecutor, TrialExecutor, WorkerProcess
from pipeline.tuner.live_display import LiveDisplay
from pipeline.tuner.lock import check_store_writable, lock_study
from pipeline.tuner.refit_and_test import FinalEvaluation
from pipeline.tuner.trial_runner import TrialRunner

EXIT_NO_RESULT = 1
REFERENCE_TIME_SHARE = 0.1  # of the time of the trials, for all references together
MIN_REFERENCE_SECONDS = 10.0


@dataclass(frozen=True)
class PreparedSearch:
    """Search with its problem and its study opened: what the steps after `prepare` work on."""

    search: Search
    problem: Problem
    study: Study
    folder: Path
    n_workers: int
    console: Console
    tracker: Tracker
    start_time: float

    def print(self, line: str) -> None:
        """Print a line as it is: neither wrapped nor read as markup."""
        self.console.print(line, soft_wrap=True, markup=False)

    def seconds_spent(self) -> SecondsSpent:
        """Return the wall time of this call and of the calls before it except killed ones."""
        earlier = self.study.storage.seconds
        return SecondsSpent(
            total=round(earlier.get("total", 0.0) + time.monotonic() - self.start_time, 3),
            training=round(sum(trial.seconds for trial in self.study.finished_trials()), 3),
            tracking=round(earlier.get("tracking", 0.0) + self.tracker.wait_seconds, 3),
            deciding=round(earlier.get("deciding", 0.0) + self.study.sampling_seconds, 3),
        )

    def is_time_up(self) -> bool:
        """Return whether this call has lasted for budget.minutes; None sets no limit."""
        minutes = self.search.budget.minutes
        return minutes is not None and time.monotonic() - self.start_time >= 60 * minutes


def run_search(search: Search, tracker: Tracker) -> int:
    """Search, print the result, and return the exit code; raises UserError and SearchInterrupted."""
    start_time = time.monotonic()
    console = Console(highlight=False)
    with gc_unfrozen_on_exit(), SignalGuard() as signal_guard:
        if search.note:
            console.print(search.note, soft_wrap=True, markup=False)
        check_store_writable(search.store)
        problem = build_problem(search)
        for note in problem.notes:
            console.print(note, soft_wrap=True, markup=False)
        folder = search.store / "studies" / problem.name
        with lock_study(folder):
            return _run_steps(prepare(search, problem, folder, console, tracker, start_time), signal_guard)


def _run_steps(prepared: PreparedSearch, signal_guard: SignalGuard) -> int:
    study = prepared.study
    previous = summary.read_summary(prepared.folder)
    n_finished = len(study.finished_trials())
    is_tested = previous is not None and previous.champion.kind == prepared.search.champion
    if previous is not None and is_tested and previous.trials.total == n_finished >= study.n_trials:
        show_finished(prepared, previous)
        return 0
    try:
        run_trials(prepared, signal_guard)
        best = study.best_trial
        if best is None:
            reasons = "; ".join(sorted({trial.reason for trial in study.finished_trials()}))
            print(f"no trial has a score, so there is no model; the trials ended with: {reasons}", file=sys.stderr)
            return EXIT_NO_RESULT
        publish(prepared, best, refit_winner(prepared, best, previous))
        return 0
    finally:
        with suppress(FileWriteError):
            study.storage.save("seconds", vars(prepared.seconds_spent()))


def prepare(
    search: Search, problem: Problem, folder: Path, console: Console, tracker: Tracker, start_time: float
) -> PreparedSearch:
    """Open the study in its locked folder, describe it there, and let the tracker follow it."""
    device = problem.task.device
    n_workers = executors.resolve_worker_count(search.compute, device)
    batch_size = proposal_batches.choose_batch_size(search, n_workers, on_gpu=device.is_gpu)
    study = Study(search, problem.name, folder, problem.facts, batch_size)
    prepared = PreparedSearch(search, problem, study, folder, n_workers, console, tracker, start_time)
    environment = {"workers": str(n_workers), **device.numerics_info, **library_versions()}
    if differences := study.storage.update_environment(environment):
        prepared.print(f"Resumed in another environment; last digits may differ: {'; '.join(differences)}")
    StudyDescription.from_search(search, problem).write(folder)
    tracker.start(folder, prepared.print)
    return prepared


def run_trials(prepared: PreparedSearch, signal_guard: SignalGuard) -> None:
    """Train trials until the budget is spent; raises SearchInterrupted after a signal."""
    problem = prepared.problem
    study = prepared.study
    folder = prepared.folder
    n_finished = len(study.finished_trials())
    if n_finished >= study.n_trials:
        return
    metric = problem.task.metric.name
    display = LiveDisplay(prepared.console, metric, study.n_trials, n_finished, study.best_trial, prepared.n_workers)
    with _start_executors(prepared, signal_guard) as started, signal_guard.deferred(), display.progress:
        check_stop = signal_guard.raise_if_interrupted
        TrialRunner(problem, study, folder, started, display, check_stop, prepared.is_time_up).run()
    signal_guard.raise_if_interrupted()


@contextmanager
def _start_executors(prepared: PreparedSearch, signal_guard: SignalGuard) -> Iterator[list[TrialExecutor]]:
    """Yield executors that have loaded their data: one in this process, or a worker process a core."""
    search = prepared.search
    problem = prepared.problem
    folder = prepared.folder
    builder = problem.fold_data_builder()
    if prepared.n_workers == 1:
        folds = builder.build_folds(problem.splits)
        yield [InProcessExecutor(problem.task, folds, search.seed, folder, signal_guard.raise_if_interrupted)]
        return
    builder.check_memory(problem.splits, prepared.n_workers)
    indices = range(prepared.n_workers)
    workers = [WorkerProcess(search.overrides, search.config_dir, folder, index) for index in indices]

    def stop_workers() -> None:
        for worker in workers:
            worker.stop()

    signal_guard.on_first_signal = stop_workers
    try:
        for worker in workers:
            worker.wait_until_ready(problem.fingerprint)
        yield list[TrialExecutor](workers)
    finally:
        for worker in workers:
            worker.close()


def refit_winner(prepared: PreparedSearch, best: TrialRecord, previous: StudySummary | None) -> RefitResult:
    """Build the final model of the best trial and test it; not again if an earlier call tested this very model."""
    kind = prepared.search.champion
    if previous is not None and (previous.best.number, previous.champion.kind) == (best.number, kind):
        return previous.refit_result
    n_test_evaluations = 1 + (previous.test.evaluations if previous else 0)
    trials = prepared.study.finished_trials()
    baseline = trials[0] if trials[0].is_finite else None
    evaluation = FinalEvaluation(prepared.problem, prepared.search, prepared.folder, trials, prepared.print)
    limit_seconds = max(MIN_REFERENCE_SECONDS, REFERENCE_TIME_SHARE * prepared.seconds_spent().training)
    return evaluation.run(best, baseline, n_test_evaluations, limit_seconds)


def publish(prepared: PreparedSearch, best: TrialRecord, refit_result: RefitResult) -> None:
    """Write the summary and the report, wait for MLflow, and print the results."""
    trials = prepared.study.finished_trials()
    seconds = prepared.seconds_spent()
    study_summary = build_summary(prepared.search, prepared.problem, trials, best, refit_result, seconds)
    summary.write_summary(prepared.folder, study_summary, trials)
    _build_report(prepared, study_summary)  # before the tracker ends: it logs the report too
    _finish_tracking(prepared)
    study_summary = replace(study_summary, seconds=prepared.seconds_spent())
    summary.write_summary(prepared.folder, study_summary, trials)
    _print_results(prepared, study_summary)


def show_finished(prepared: PreparedSearch, previous: StudySummary) -> None:
    """Print the results of a study whose budget an earlier call has spent, and how to extend it."""
    if not build.has_report(prepared.folder):
        _build_report(prepared, previous)
    _finish_tracking(prepared)
    _print_results(prepared, previous)
    if space.has_ranges(prepared.search.space):
        more = 2 * prepared.study.n_trials
        prepared.print(f"Finished. For more trials, run the same command with budget.trials={more}.")
    else:
        prepared.print("Finished. Without a range to search, a study has one trial.")


def _build_report(prepared: PreparedSearch, study_summary: StudySummary) -> None:
    commands = _next_commands(prepared, study_summary)
    build.build_report(prepared.console, prepared.folder, prepared.problem, prepared.study, study_summary, commands)


def _finish_tracking(prepared: PreparedSearch) -> None:
    """Wait until MLflow has everything; if it cannot be written to, print the command that writes the rest."""
    if not prepared.tracker.finish():
        command = follow_up_commands.format_sync_command(prepared.search, prepared.problem.name)
        prepared.print(f"tracking: MLflow lacks a part of this study; to write it, run {command}")


def _print_results(prepared: PreparedSearch, study_summary: StudySummary) -> None:
    report = " report/report.html" if build.has_report(prepared.folder) else ""
    files = {"files": f"{prepared.folder}/: model/ summary.json trials.csv{report}"}
    commands = _next_commands(prepared, study_summary) | files
    results_table.print_results(prepared.console, study_summary, commands)


def _next_commands(prepared: PreparedSearch, study_summary: StudySummary) -> dict[str, str]:
    """Return the commands to run next, by their labels."""
    search = prepared.search
    inputs = prepared.problem.task.inputs
    columns = inputs.columns if isinstance(inputs, TableInputs) else ()
    commands = {
        "again": follow_up_commands.format_rerun_command(search, study_summary.best.overrides),
        "browse": follow_up_commands.format_ui_command(search),
        "predict": follow_up_commands.format_predict_command(search, prepared.folder, is_table=bool(columns)),
    }
    return commands | {"": follow_up_commands.describe_required_columns(columns)} if columns else commands
