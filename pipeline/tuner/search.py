"""One search from end to end: load, split, try, crown, write down."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console

from pipeline.artifact import model_files
from pipeline.config import follow_up_commands
from pipeline.config.schema import Search
from pipeline.preprocessing import TableInputs
from pipeline.report import build
from pipeline.runtime.files import FileWriteError
from pipeline.runtime.signals import SignalGuard
from pipeline.study import proposal_batches, space, summary
from pipeline.study.description import StudyDescription
from pipeline.study.problem import Problem, build_problem
from pipeline.study.study import Study
from pipeline.study.summary import StudySummary
from pipeline.study.trial_record import TrialRecord
from pipeline.tracking.process import FollowerHandle
from pipeline.training.fit import gc_unfrozen_on_exit
from pipeline.training.fold_data import FoldDataBuilder
from pipeline.tuner import executors, results_table
from pipeline.tuner.executors import InProcessExecutor, TrialExecutor, WorkerProcess
from pipeline.tuner.live_display import LiveDisplay
from pipeline.tuner.lock import check_store_writable, lock_study
from pipeline.tuner.refit import WinnerRefit
from pipeline.tuner.scheduler import TrialScheduler

EXIT_NO_RESULT = 1


def run_search(search: Search, tracker: FollowerHandle) -> int:
    """Search, print the result, and return the exit code; raises UserError and SearchInterrupted."""
    with gc_unfrozen_on_exit(), SignalGuard() as signal_guard:
        return _run_locked(search, tracker, Console(highlight=False), time.monotonic(), signal_guard)


def _run_locked(
    search: Search, tracker: FollowerHandle, console: Console, start_time: float, signal_guard: SignalGuard
) -> int:
    check_store_writable(search.store)
    problem = build_problem(search)
    for note in problem.notes:
        console.print(note, soft_wrap=True, markup=False)
    folder = search.store / "studies" / problem.name
    with lock_study(folder):
        return SearchRun(search, problem, tracker, folder, console, start_time, signal_guard).run()


class SearchRun:
    """One call of the search on one study, from where an earlier call left it."""

    def __init__(
        self,
        search: Search,
        problem: Problem,
        tracker: FollowerHandle,
        folder: Path,
        console: Console,
        start_time: float,
        signal_guard: SignalGuard,
    ) -> None:
        self.search, self.problem, self.tracker, self.folder = search, problem, tracker, folder
        self.console, self.start_time, self.signal_guard = console, start_time, signal_guard
        self.n_workers = executors.resolve_worker_count(search.compute, problem.task.device)
        wave_size = proposal_batches.choose_wave_size(search, self.n_workers, on_gpu=problem.task.device.is_gpu)
        self.study = Study(
            search, problem.name, folder, problem.facts, maximize=problem.task.metric.maximize, wave_size=wave_size
        )
        self.earlier_seconds = self.study.storage.seconds

    def run(self) -> int:
        """Tries what is left to try, crowns the best, and shows the result."""
        environment = {
            "workers": str(self.n_workers),
            **self.problem.task.device.numerics_info,
            **summary.library_versions(),
        }
        if differences := self.study.storage.update_environment(environment):
            self.console.print(f"left elsewhere, so digits may differ: {'; '.join(differences)}", soft_wrap=True)
        self._start_tracking()
        previous = summary.read_summary(self.folder)
        if (
            previous is not None
            and previous["trials"]["total"] == len(self.study.finished_trials()) >= self.study.n_trials
        ):
            if not build.has_report(self.folder):
                self._build_report(previous)
            self._finish_tracking()
            self._print_results(previous)
            self.console.print(self._format_finished())
            return 0
        try:
            return self._search_and_refit(previous)
        finally:
            with suppress(FileWriteError):
                self.study.storage.save_seconds(self._elapsed_seconds())

    def _search_and_refit(self, previous: StudySummary | None) -> int:
        """The trials that are left, and what comes of all of them."""
        self._run_trials()
        best = self.study.best_trial()
        if best is None:
            reasons = "; ".join(sorted({row.reason for row in self.study.finished_trials()}))
            print(f"no trial ended with a score, so there is no model: {reasons}", file=sys.stderr)
            return EXIT_NO_RESULT
        self._print_results(self._refit_and_summarize(best, previous))
        return 0

    def _format_finished(self) -> str:
        if not space.has_ranges(self.search.space):
            return "finished: there is no range to search, so one trial is all"
        return f"finished: for more trials, the same command with budget.trials={2 * self.study.n_trials}"

    def _start_tracking(self) -> None:
        """MLflow is told of the study, and follows it."""
        search, problem = self.search, self.problem
        architecture = model_files.build_architecture(
            search.task, problem.inputs, space.NO_HIDDEN_LAYERS, problem.head, synthetic=problem.examples.is_synthetic
        )
        StudyDescription.from_search(search, problem, architecture.to_json()).write(self.folder)
        self.tracker.start(self.folder, lambda line: self.console.print(line, soft_wrap=True, markup=False))

    def _finish_tracking(self) -> None:
        """Waits until MLflow has everything; where it cannot be written to, says what will."""
        if not self.tracker.finish():
            command = follow_up_commands.format_sync_command(self.search, self.problem.name)
            self.console.print(f"tracking: not all of it is in MLflow; {command} writes the rest", soft_wrap=True)

    def _run_trials(self) -> None:
        """Trial after trial, by one hand or several, until the budget is spent."""
        n_finished, best = len(self.study.finished_trials()), self.study.best_trial()
        if n_finished >= self.study.n_trials:
            return
        live_display = LiveDisplay(
            self.console, self.search.metric.name, self.study.n_trials, n_finished, best, self.n_workers
        )
        check_stop, is_time_up = self.signal_guard.raise_if_interrupted, self._is_time_up
        scheduler = TrialScheduler(self.search, self.problem, self.study, self.folder, check_stop, is_time_up)
        with self._start_executors() as ready_executors, self.signal_guard.deferred(), live_display as display:
            scheduler.run(ready_executors, display)
        self.signal_guard.raise_if_interrupted()

    @contextmanager
    def _start_executors(self) -> Iterator[list[TrialExecutor]]:
        """Those who train, ready to."""
        problem = self.problem
        fold_data_builder = FoldDataBuilder(
            problem.examples, problem.inputs, problem.head, problem.task.device.torch_device
        )
        if self.n_workers == 1:
            yield [
                InProcessExecutor(
                    self.search,
                    problem,
                    fold_data_builder.build_folds(problem.splits),
                    self.folder,
                    self.signal_guard.raise_if_interrupted,
                )
            ]
            return
        fold_data_builder.check_memory(problem.splits, self.n_workers)
        workers = [WorkerProcess(self.search, self.folder, place) for place in range(self.n_workers)]

        def stop_workers() -> None:
            for worker in workers:
                worker.stop()

        self.signal_guard.on_first_signal = stop_workers
        try:
            for worker in workers:
                worker.wait_until_ready(problem.fingerprint)
            yield list[TrialExecutor](workers)
        finally:
            for worker in workers:
                worker.close()

    def _is_time_up(self) -> bool:
        minutes = self.search.budget.minutes
        return minutes is not None and time.monotonic() - self.start_time >= 60 * minutes

    def _refit_and_summarize(self, best: TrialRecord, previous: StudySummary | None) -> StudySummary:
        """The study's summary; the test rows are opened only where an earlier call did not crown this trial."""
        trials, is_same_winner = (
            self.study.finished_trials(),
            previous is not None and previous["best"]["number"] == best.number,
        )
        if previous is not None and is_same_winner:
            refit_results = previous | {"baseline_test": (previous["baseline"] or {}).get("test")}
        else:
            n_test_evaluations = 1 + (previous["test"]["opened"] if previous else 0)
            baseline = trials[0] if trials[0].is_finite else None
            refit_results = WinnerRefit(self.search, self.problem).refit_and_test(
                best, baseline, self.folder, n_test_evaluations
            )
        study_summary = summary.build_summary(
            self.search, self.problem, trials, best, refit_results, self._elapsed_seconds()
        )
        summary.write_summary(self.folder, study_summary, trials)
        self._build_report(study_summary)
        self._finish_tracking()
        study_summary["seconds"] = self._elapsed_seconds()
        summary.write_summary(self.folder, study_summary, trials)
        return study_summary

    def _elapsed_seconds(self) -> dict[str, float]:
        """What this call and those before it spent, but for killed ones; training is the trials' own time."""
        total, tracking, sampling = (self.earlier_seconds.get(key, 0.0) for key in ("total", "tracking", "deciding"))
        return {
            "total": round(total + time.monotonic() - self.start_time, 3),
            "training": round(sum(row.seconds for row in self.study.finished_trials()), 3),
            "tracking": round(tracking + self.tracker.wait_seconds, 3),
            "deciding": round(sampling + self.study.sampling_seconds, 3),
        }

    def _build_report(self, study_summary: StudySummary) -> None:
        """The page and its figures, before MLflow is given them; they cost nothing where they fail."""
        build.build_report(
            self.console, self.folder, self.problem, self.study, study_summary, self._next_commands(study_summary)
        )

    def _print_results(self, study_summary: StudySummary) -> None:
        report = " report/report.html" * build.has_report(self.folder)
        files = {"files": f"{self.folder}/: model/ summary.json trials.csv{report}"}
        results_table.print_results(self.console, study_summary, self._next_commands(study_summary) | files)

    def _next_commands(self, study_summary: StudySummary) -> dict[str, str]:
        """What a person may want to do next, by a word each."""
        inputs = self.problem.inputs
        columns = inputs.column_names if isinstance(inputs, TableInputs) else ()
        commands = {
            "again": follow_up_commands.format_rerun_command(self.search, study_summary["best"]["overrides"]),
            "browse": follow_up_commands.format_ui_command(self.search),
            "predict": follow_up_commands.format_predict_command(self.search, self.folder, is_table=bool(columns)),
        }
        return commands | {"": follow_up_commands.describe_required_columns(columns)} if columns else commands
