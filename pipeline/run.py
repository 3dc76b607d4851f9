"""One search from end to end: load, split, try, crown, write down."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from pipeline import closing, hands, model, space, summary
from pipeline.champion import Champion
from pipeline.config.schema import Search
from pipeline.data.examples import DataError
from pipeline.device import NoDeviceError
from pipeline.display import Display
from pipeline.hands import Hand, Here, Worker
from pipeline.inputs import PictureInputs
from pipeline.interrupt import Interrupt
from pipeline.preparation import Preparation
from pipeline.question import Question, pose
from pipeline.space import Candidate
from pipeline.study import Row, Study, waves
from pipeline.summary import Summary
from pipeline.tracking.tracker import Tracker
from pipeline.training import swept
from pipeline.trials import Trials

NO_RESULT, MISTAKE, INTERRUPTED = 1, 2, 130


def run(search: Search) -> int:
    """Searches, and says how it went; returns the exit code."""
    try:
        with swept(), Interrupt() as interrupt:
            return _run(search, Console(highlight=False), time.monotonic(), interrupt)
    except (DataError, NoDeviceError) as error:
        print(error, file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("stopped; finished trials are kept, and the same command goes on", file=sys.stderr)
        return INTERRUPTED


def _run(search: Search, console: Console, begin: float, interrupt: Interrupt) -> int:
    question = pose(search)
    for note in question.notes:
        console.print(note, soft_wrap=True, markup=False)
    folder = search.store / "studies" / question.name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".owner.lock", timeout=0):
            return _Searching(search, question, folder, console, begin, interrupt).run()
    except Timeout:
        raise DataError(
            f"study={question.name} is being searched by another process; wait for it, or use another study="
        ) from None


class _Searching:
    """One call of the search on one study, from where an earlier call left it."""

    def __init__(
        self, search: Search, question: Question, folder: Path, console: Console, begin: float, interrupt: Interrupt
    ) -> None:
        self.search, self.question, self.folder = search, question, folder
        self.console, self.begin, self.interrupt = console, begin, interrupt
        self.workers = hands.count(search.compute, question.task.device)
        wave = waves.size(search, self.workers, on_gpu=question.task.device.on_gpu)
        self.study = Study(search, question.name, folder, question.facts, maximise=question.task.maximise, wave=wave)

    def run(self) -> int:
        """Tries what is left to try, crowns the best, and shows the result."""
        machine = {"workers": str(self.workers), **self.question.task.device.facts}
        if differing := self.study.record.differing(machine):
            self.console.print(f"begun elsewhere, so digits may differ: {'; '.join(differing)}", soft_wrap=True)
        previous = summary.read(self.folder)
        if previous is not None and len(self.study.rows()) >= self.study.total:
            self._show(previous)
            self.console.print(self._more())
            return 0
        tracker = self._tracker()
        self._try(tracker)
        best = self.study.best()
        if best is None:
            reasons = "; ".join(sorted({row.reason for row in self.study.rows()}))
            print(f"no trial ended with a score, so there is no model: {reasons}", file=sys.stderr)
            return NO_RESULT
        self._show(self._crown(best, tracker, previous))
        return 0

    def _more(self) -> str:
        if not space.has_ranges(self.search.space):
            return "finished: there is no range to search, so one trial is all"
        return f"finished: for more trials, the same command with budget.trials={2 * self.study.total}"

    def _tracker(self) -> Tracker:
        """MLflow, brought up to date with the trials that an earlier call finished."""
        tracker = Tracker(self.search, self.question.name)
        tracker.configuration(self.question)
        self._catch_up(tracker)
        return tracker

    def _catch_up(self, tracker: Tracker) -> None:
        """Writes the finished trials that MLflow does not have."""
        logged = tracker.logged_trials()
        for row in self.study.rows():
            if row.number not in logged:
                tracker.trial(row, self._architecture(space.restored(row.fields)))
        tracker.flush()

    def _try(self, tracker: Tracker) -> None:
        """Trial after trial, by one hand or several, until the budget is spent."""
        done, best = len(self.study.rows()), self.study.best()
        if done >= self.study.total:
            return
        bars = Display(self.console, self.search.metric, self.study.total, done, best, self.workers)
        check, spent = self.interrupt.check, self._time_is_spent
        trials = Trials(self.search, self.question, self.study, tracker, self.folder, check, spent)
        try:
            with self._hands() as working, self.interrupt.waiting(), bars as display:
                trials.run(working, display)
        finally:
            tracker.flush()
        if tracker.broken:
            self._catch_up(tracker)

    @contextmanager
    def _hands(self) -> Iterator[list[Hand]]:
        """Those who train, ready to."""
        question = self.question
        preparation = Preparation(question.examples, question.inputs, question.head, question.task.device.torch)
        if self.workers == 1:
            yield [Here(self.search, question, preparation.folds(question.splits))]
            return
        preparation.check(question.splits, self.workers)
        workers = [Worker(self.search, place) for place in range(self.workers)]
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

    def _architecture(self, candidate: Candidate) -> str:
        return model.describe(self.search.task, self.question.inputs, candidate.model, self.question.head).text()

    def _crown(self, best: Row, tracker: Tracker, previous: Summary | None) -> Summary:
        """The study's summary; the test rows are opened only where an earlier call did not crown this trial."""
        tracker.leader(best.number, self.folder / "leader")
        rows, kept = self.study.rows(), previous is not None and previous["best"]["number"] == best.number
        if previous is not None and kept:
            crowned = previous | {"baseline_test": (previous["baseline"] or {}).get("test")}
        else:
            opened = 1 + (previous["test"]["opened"] if previous else 0)
            baseline = rows[0] if rows[0].finite else None
            crowned = Champion(self.search, self.question).crown(best, baseline, self.folder, opened)
        built = summary.build(self.search, self.question, rows, best, crowned, self._seconds(tracker, previous))
        summary.write(self.folder, built, rows)
        if not kept:
            self.console.print(
                f"registered as {tracker.register(self.folder / 'model', self.question, built)}", soft_wrap=True
            )
        tracker.finish(built, self.folder)
        built["seconds"] = self._seconds(tracker, previous)
        summary.write(self.folder, built, rows)
        return built

    def _seconds(self, tracker: Tracker, previous: Summary | None) -> dict[str, float]:
        """What this call and those before it spent; training is the trials' own time."""
        before = previous["seconds"] if previous else {"total": 0.0, "tracking": 0.0, "deciding": 0.0}
        return {
            "total": round(before["total"] + time.monotonic() - self.begin, 3),
            "training": round(sum(row.seconds for row in self.study.rows()), 3),
            "tracking": round(before["tracking"] + tracker.seconds, 3),
            "deciding": round(before["deciding"] + self.study.deciding, 3),
        }

    def _show(self, built: Summary) -> None:
        store = [] if str(self.search.store) == "mlruns" else [f"store={self.search.store}"]
        own = [] if self.search.config_dir is None else ["--config-dir", str(self.search.config_dir)]
        example = "photo.jpg" if isinstance(self.question.inputs, PictureInputs) else "rows.csv"
        closing.show(
            self.console,
            built,
            {
                "again": shlex.join(["python", "-m", "pipeline.search", *own, *built["best"]["overrides"], *store]),
                "browse": shlex.join(["python", "-m", "pipeline.ui", *store]),
                "predict": shlex.join(["python", "-m", "pipeline.predict", f"model={self.folder}/model", example]),
                "files": f"{self.folder}/: model/ summary.json trials.csv",
            },
        )
