"""The real command in processes that can be killed: forked off one that has the libraries, so that 200 take minutes.

The process that forks computes nothing with torch: the forked ones would wait for its threads, which they lack.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from mlflow import MlflowClient

import pipeline.tuner.search  # noqa: F401 -- forked processes have it then
from pipeline import search, sync
from pipeline.report import build
from pipeline.report.drawing import render_matplotlib
from pipeline.study.storage import TrialStorageReader
from pipeline.tracking import process as tracking_process
from pipeline.tracking.client import store_uri
from tests.preloaded import follow

TINY = ("dataset.count=90", "dataset.size=8", "cv.folds=3", "compute=cpu", "training.epochs=3")


class Forked:
    """A search in a process of its own; what it says goes to a file.

    before: what it does first, such as taking away its memory. report: whether it writes its report, the pixels of whose
    PNG files are not drawn: that takes longer than all of its trials.
    """

    def __init__(
        self, words: Sequence[str], said: Path, before: Callable[[], object] = lambda: None, *, report: bool = False
    ) -> None:
        self.said = said
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid:
            return
        code = 70
        try:
            os.setsid()
            _as_in_a_terminal()
            tracking_process.start_follower = ForkedFollower  # type: ignore[assignment, misc]
            handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            if not report:
                build.build_report = lambda *_, **__: None  # type: ignore[assignment]
            render_matplotlib.render_png = lambda _: b"PNG"
            before()
            code = search.main(words)
            sys.stdout.flush()
        except BaseException:  # noqa: BLE001 -- nothing else would say it
            traceback.print_exc()
        finally:
            os._exit(code)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal to it alone."""
        os.kill(self.pid, number)

    def ended(self) -> int | None:
        """Its exit code, negative after a signal; None while it lives."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def wait(self, seconds: float = 600) -> int:
        """Its exit code, once it has ended."""
        end = time.monotonic() + seconds
        while (code := self.ended()) is None:
            if time.monotonic() > end:
                self.kill()
                raise TimeoutError(f"{self.said}: {self.said.read_text()}")
            time.sleep(0.01)
        return code

    def until(self, word: str) -> None:
        """Waits until it has said a word."""
        while word not in self.said.read_text() if self.said.is_file() else True:
            if self.ended() is not None:
                raise AssertionError(f"it ended before it said {word!r}: {self.said.read_text()}")
            time.sleep(0.01)


class ForkedFollower:
    """A follower as `subprocess.Popen` would give it, forked off the search: MLflow is imported already."""

    def __init__(self) -> None:
        child_stdin, stdin = os.pipe()
        stdout, child_stdout = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(stdin)
            os.close(stdout)
            follow(child_stdin, child_stdout)
        os.close(child_stdin)
        os.close(child_stdout)
        self.stdin = os.fdopen(stdin, "w")
        self.stdout = os.fdopen(stdout)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Return the exit code; raise `subprocess.TimeoutExpired` as Popen does."""
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("follower", timeout)
            time.sleep(0.005)
        return code

    def kill(self) -> None:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)


def _as_in_a_terminal() -> None:
    """Whoever started this in the background, or with nohup, has it ignore signals."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def study(store: Path) -> Path:
    """The only study of a store."""
    (folder,) = (store / "studies").iterdir()
    return folder


def whole(words: Sequence[str], store: Path) -> Path:
    """The folder of a search that nothing disturbs."""
    store.mkdir(parents=True, exist_ok=True)
    assert Forked([*words, f"store={store}"], store / "said.txt").wait() == 0, (store / "said.txt").read_text()
    return study(store)


def same_table(one: Path, other: Path) -> bool:
    """Whether two studies found the same, to the last digit."""
    return (one / "trials.csv").read_bytes() == (other / "trials.csv").read_bytes()


def mlflow_is_whole(folder: Path, uri: str | None = None) -> str:
    """ "" where MLflow has every trial and every point once and nothing is RUNNING; otherwise what is wrong."""
    client = MlflowClient(uri or store_uri(folder.parents[1]))
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(ids, f"tags.study = '{folder.name}'", max_results=5_000)
    living = [run.info.run_name for run in runs if run.info.status == "RUNNING"]
    trials = sorted(int(run.data.tags["trial"]) for run in runs if run.data.tags["kind"] == "trial")
    finished = sorted(row.number for row in TrialStorageReader(folder, folder.name).read_new_trials())
    wrong = [f"RUNNING: {living}"] if living else []
    if trials != finished:
        wrong.append(f"trials {trials} there, {finished} finished")
    for run in runs:
        for name in run.data.metrics:
            steps = [point.step for point in client.get_metric_history(run.info.run_id, name)]
            if len(steps) != len(set(steps)):
                wrong.append(f"{run.info.run_name}: {name} has points twice")
    return "; ".join(wrong)


def synced(folder: Path) -> str:
    """What MLflow lacks after the command that writes what is missing, which waits for a process that still writes."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        sync.main([f"study={folder.name}", f"store={folder.parents[1]}"])
        if not (wrong := mlflow_is_whole(folder)):
            return ""
        time.sleep(1)
    return wrong
