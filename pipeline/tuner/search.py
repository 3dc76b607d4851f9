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
from pipeline.data.examples import DataError
from pipeline.preprocessing import TableInputs
from pipeline.report import build
from pipeline.runtime.files import NotWrittenError
from pipeline.runtime.signals import Interrupt, Stopped
from pipeline.study import proposal_batches, space, summary
from pipeline.study.description import Description
from pipeline.study.problem import Question, pose
from pipeline.study.study import Study
from pipeline.study.summary import Summary
from pipeline.study.trial_record import Row
from pipeline.tracking.process import Tracker
from pipeline.training.device import NoDeviceError
from pipeline.training.fit import swept
from pipeline.training.fold_data import Preparation
from pipeline.tuner import executors, results_table
from pipeline.tuner.executors import Hand, Here, Worker
from pipeline.tuner.live_display import Display
from pipeline.tuner.lock import check_store, owned
from pipeline.tuner.refit import Champion
from pipeline.tuner.scheduler import FailingError, Trials

NO_RESULT, MISTAKE = 1, 2


def run(search: Search, tracker: Tracker) -> int:
    """Searches, and says how it went; returns the exit code."""
    try:
        with swept(), Interrupt() as interrupt:
            return _run(search, tracker, Console(highlight=False), time.monotonic(), interrupt)
    except (DataError, NoDeviceError) as error:
        print(error, file=sys.stderr)
        return MISTAKE
    except (FailingError, NotWrittenError) as error:
        print(error, file=sys.stderr)
        return NO_RESULT
    except Stopped as stopped:
        print("stopped; what was trained is kept, and the same command goes on", file=sys.stderr)
        return stopped.code


def _run(search: Search, tracker: Tracker, console: Console, begin: float, interrupt: Interrupt) -> int:
    check_store(search.store)
    question = pose(search)
    for note in question.notes:
        console.print(note, soft_wrap=True, markup=False)
    folder = search.store / "studies" / question.name
    with owned(folder):
        return _Searching(search, question, tracker, folder, console, begin, interrupt).run()


class _Searching:
    """One call of the search on one study, from where an earlier call left it."""

    def __init__(
        self,
        search: Search,
        question: Question,
        tracker: Tracker,
        folder: Path,
        console: Console,
        begin: float,
        interrupt: Interrupt,
    ) -> None:
        self.search, self.question, self.tracker, self.folder = search, question, tracker, folder
        self.console, self.begin, self.interrupt = console, begin, interrupt
        self.workers = executors.count(search.compute, question.task.device)
        wave = proposal_batches.size(search, self.workers, on_gpu=question.task.device.on_gpu)
        self.study = Study(search, question.name, folder, question.facts, maximise=question.task.maximise, wave=wave)
        self.before = self.study.record.seconds

    def run(self) -> int:
        """Tries what is left to try, crowns the best, and shows the result."""
        machine = {"workers": str(self.workers), **self.question.task.device.facts, **summary.versions()}
        if differing := self.study.record.differing(machine):
            self.console.print(f"left elsewhere, so digits may differ: {'; '.join(differing)}", soft_wrap=True)
        self._track()
        previous = summary.read(self.folder)
        if previous is not None and previous["trials"]["total"] == len(self.study.rows()) >= self.study.total:
            if not build.made(self.folder):
                self._report(previous)
            self._finish_tracking()
            self._show(previous)
            self.console.print(self._more())
            return 0
        try:
            return self._search(previous)
        finally:
            with suppress(NotWrittenError):
                self.study.record.spend(self._seconds())

    def _search(self, previous: Summary | None) -> int:
        """The trials that are left, and what comes of all of them."""
        self._try()
        best = self.study.best()
        if best is None:
            reasons = "; ".join(sorted({row.reason for row in self.study.rows()}))
            print(f"no trial ended with a score, so there is no model: {reasons}", file=sys.stderr)
            return NO_RESULT
        self._show(self._crown(best, previous))
        return 0

    def _more(self) -> str:
        if not space.has_ranges(self.search.space):
            return "finished: there is no range to search, so one trial is all"
        return f"finished: for more trials, the same command with budget.trials={2 * self.study.total}"

    def _track(self) -> None:
        """MLflow is told of the study, and follows it."""
        search, question = self.search, self.question
        architecture = model_files.describe(
            search.task, question.inputs, space.NO_HIDDEN, question.head, drawn=question.examples.drawn
        )
        Description.of(search, question, architecture.text()).write(self.folder)
        self.tracker.begin(self.folder, lambda line: self.console.print(line, soft_wrap=True, markup=False))

    def _finish_tracking(self) -> None:
        """Waits until MLflow has everything; where it cannot be written to, says what will."""
        if not self.tracker.finish():
            command = follow_up_commands.sync(self.search, self.question.name)
            self.console.print(f"tracking: not all of it is in MLflow; {command} writes the rest", soft_wrap=True)

    def _try(self) -> None:
        """Trial after trial, by one hand or several, until the budget is spent."""
        done, best = len(self.study.rows()), self.study.best()
        if done >= self.study.total:
            return
        bars = Display(self.console, self.search.metric, self.study.total, done, best, self.workers)
        check, spent = self.interrupt.check, self._time_is_spent
        trials = Trials(self.search, self.question, self.study, self.folder, check, spent)
        with self._hands() as working, self.interrupt.waiting(), bars as display:
            trials.run(working, display)
        self.interrupt.check()

    @contextmanager
    def _hands(self) -> Iterator[list[Hand]]:
        """Those who train, ready to."""
        question = self.question
        preparation = Preparation(question.examples, question.inputs, question.head, question.task.device.torch)
        if self.workers == 1:
            yield [Here(self.search, question, preparation.folds(question.splits), self.folder, self.interrupt.check)]
            return
        preparation.check(question.splits, self.workers)
        workers = [Worker(self.search, self.folder, place) for place in range(self.workers)]

        def stop() -> None:
            for worker in workers:
                worker.stop()

        self.interrupt.tell = stop
        try:
            for worker in workers:
                worker.wait(question.fingerprint)
            yield list[Hand](workers)
        finally:
            for worker in workers:
                worker.close()

    def _time_is_spent(self) -> bool:
        minutes = self.search.budget.minutes
        return minutes is not None and time.monotonic() - self.begin >= 60 * minutes

    def _crown(self, best: Row, previous: Summary | None) -> Summary:
        """The study's summary; the test rows are opened only where an earlier call did not crown this trial."""
        rows, kept = self.study.rows(), previous is not None and previous["best"]["number"] == best.number
        if previous is not None and kept:
            crowned = previous | {"baseline_test": (previous["baseline"] or {}).get("test")}
        else:
            opened = 1 + (previous["test"]["opened"] if previous else 0)
            baseline = rows[0] if rows[0].finite else None
            crowned = Champion(self.search, self.question).crown(best, baseline, self.folder, opened)
        built = summary.build(self.search, self.question, rows, best, crowned, self._seconds())
        summary.write(self.folder, built, rows)
        self._report(built)
        self._finish_tracking()
        built["seconds"] = self._seconds()
        summary.write(self.folder, built, rows)
        return built

    def _seconds(self) -> dict[str, float]:
        """What this call and those before it spent, but for killed ones; training is the trials' own time."""
        total, tracking, deciding = (self.before.get(key, 0.0) for key in ("total", "tracking", "deciding"))
        return {
            "total": round(total + time.monotonic() - self.begin, 3),
            "training": round(sum(row.seconds for row in self.study.rows()), 3),
            "tracking": round(tracking + self.tracker.seconds, 3),
            "deciding": round(deciding + self.study.deciding, 3),
        }

    def _report(self, built: Summary) -> None:
        """The page and its figures, before MLflow is given them; they cost nothing where they fail."""
        build.make(self.console, self.folder, self.question, self.study, built, self._commands(built))

    def _show(self, built: Summary) -> None:
        report = " report/report.html" * build.made(self.folder)
        files = {"files": f"{self.folder}/: model/ summary.json trials.csv{report}"}
        results_table.show(self.console, built, self._commands(built) | files)

    def _commands(self, built: Summary) -> dict[str, str]:
        """What a person may want to do next, by a word each."""
        inputs = self.question.inputs
        columns = inputs.columns if isinstance(inputs, TableInputs) else ()
        found = {
            "again": follow_up_commands.again(self.search, built["best"]["overrides"]),
            "browse": follow_up_commands.browse(self.search),
            "predict": follow_up_commands.predict(self.search, self.folder, table=bool(columns)),
        }
        return found | {"": follow_up_commands.columns(columns)} if columns else found
