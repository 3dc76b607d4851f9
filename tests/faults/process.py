"""Run the real command in processes that can be killed, forked from one with the libraries imported: 200 take minutes.

The process that forks computes nothing with torch, since its children would wait for threads that a fork does not copy.
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

import pipeline.tuner.search  # noqa: F401 -- imported once, before the forks
from pipeline import search, sync
from pipeline.report import build
from pipeline.report.drawing import render_matplotlib
from pipeline.study.storage import TrialStorageReader
from pipeline.tracking import process as tracking_process
from pipeline.tracking.client import store_uri
from tests.preloaded import follow

TINY = ("dataset.count=90", "dataset.size=8", "cv.folds=3", "compute=cpu", "training.epochs=3", "references=[]")


class ForkedSearch:
    """Run a search in a forked process that writes its output to a file.

    before: called first in that process, for example to limit its memory. report: whether it builds its report. The PNG
    files of the report have no pixels, since to render them takes longer than all trials.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        output: Path,
        before: Callable[[], object] = lambda: None,
        *,
        report: bool = False,
    ) -> None:
        self.output = output
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid:
            return
        code = 70
        try:
            os.setsid()
            _restore_signal_handlers()
            tracking_process.start_follower = ForkedFollower  # type: ignore[assignment, misc]
            handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            if not report:
                build.build_report = lambda *_, **__: None  # type: ignore[assignment]
            render_matplotlib.render_png = lambda _: b"PNG"
            before()
            code = search.main(arguments)
            sys.stdout.flush()
        except BaseException:  # noqa: BLE001 -- the child has no other way to report it
            traceback.print_exc()
        finally:
            os._exit(code)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process alone, not to its children."""
        os.kill(self.pid, number)

    def poll(self) -> int | None:
        """Return the exit code, negative after a signal, or None while the process runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def wait(self, seconds: float = 600) -> int:
        """Return the exit code once the process has ended; kill it and raise TimeoutError after `seconds`."""
        end = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                self.kill()
                raise TimeoutError(f"{self.output}: {self.output.read_text()}")
            time.sleep(0.01)
        return code

    def wait_for(self, text: str) -> None:
        """Wait until the output contains a text."""
        while text not in self.output.read_text() if self.output.is_file() else True:
            if self.poll() is not None:
                raise AssertionError(f"it ended before it wrote {text!r}: {self.output.read_text()}")
            time.sleep(0.01)


class ForkedFollower:
    """Act as the `subprocess.Popen` of a follower that is forked from the search, which has MLflow imported."""

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
        """Return the exit code, or None while the follower runs."""
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
        """Kill the follower."""
        os.kill(self.pid, signal.SIGKILL)


def _restore_signal_handlers() -> None:
    """Handle signals as in a terminal, since a process started in the background or by nohup ignores them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def only_study(store: Path) -> Path:
    """Return the folder of the only study in a store."""
    (folder,) = (store / "studies").iterdir()
    return folder


def run_undisturbed(arguments: Sequence[str], store: Path) -> Path:
    """Run a search that nothing disturbs, and return the folder of its study."""
    store.mkdir(parents=True, exist_ok=True)
    output = store / "output.txt"
    assert ForkedSearch([*arguments, f"store={store}"], output).wait() == 0, output.read_text()
    return only_study(store)


def same_table(one: Path, other: Path) -> bool:
    """Tell whether the tables of trials of two studies are equal to the last digit."""
    return (one / "trials.csv").read_bytes() == (other / "trials.csv").read_bytes()


def find_mlflow_errors(folder: Path, uri: str | None = None) -> str:
    """Return what is wrong in MLflow; "" if it has every trial and point once and no run is RUNNING."""
    client = MlflowClient(uri or store_uri(folder.parents[1]))
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(ids, f"tags.study = '{folder.name}'", max_results=5_000)
    running = [run.info.run_name for run in runs if run.info.status == "RUNNING"]
    trials = sorted(int(run.data.tags["trial"]) for run in runs if run.data.tags["kind"] == "trial")
    finished = sorted(trial.number for trial in TrialStorageReader(folder, folder.name).read_new_trials())
    errors = [f"RUNNING: {running}"] if running else []
    if trials != finished:
        errors.append(f"trials {trials} in MLflow, {finished} finished")
    for run in runs:
        for name in run.data.metrics:
            steps = [point.step for point in client.get_metric_history(run.info.run_id, name)]
            if len(steps) != len(set(steps)):
                errors.append(f"{run.info.run_name}: {name} has repeated steps")
    return "; ".join(errors)


def sync_and_check(folder: Path) -> str:
    """Run `sync` until MLflow is complete or a minute is over, since writing may go on; return what is wrong."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        sync.main([f"study={folder.name}", f"store={folder.parents[1]}"])
        if not (errors := find_mlflow_errors(folder)):
            return ""
        time.sleep(1)
    return errors
