"""Kill, stop and suspend searches."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from pipeline.training import checkpoints
from pipeline.training.checkpoints import CheckpointStore, TrialCheckpoint
from tests.faults.process import (
    TINY,
    ForkedSearch,
    find_mlflow_errors,
    only_study,
    run_undisturbed,
    same_table,
    sync_and_check,
)
from tests.faults.row import Measured, Row

ARGUMENTS = ("task=cat_species", *TINY, "training.epochs=30")


def terminations(count: int, folder: Path) -> Measured:
    """Send SIGTERM at random moments; each time the search must resume in the middle of a trial."""
    return kills(count, folder, signal.SIGTERM)


def kills(count: int, folder: Path, number: signal.Signals = signal.SIGKILL) -> Measured:
    """Kill -9 a search at random moments until it has finished; its trials.log may only grow."""
    arguments = [*ARGUMENTS, f"budget.trials={max(4, count)}"]
    expected = run_undisturbed(arguments, folder / "undisturbed")
    store = folder / "killed"
    rng = random.Random(count)
    store.mkdir()
    killed = 0
    log = b""
    lost = 0
    while True:
        process = ForkedSearch([*arguments, f"store={store}"], store / "output.txt")
        if killed < count:
            time.sleep(rng.uniform(0.1, 1.5))
            if process.poll() is None:
                process.kill(number)
                process.wait()
                killed += 1
        elif (code := process.wait()) != 0:
            return Measured(f"exit {code}: {(store / 'output.txt').read_text()}", reached=False)
        else:
            break
        for file in (store / "studies").glob("*/trials.log"):
            previous = log
            log = file.read_bytes()
            lost += not log.startswith(previous[: previous.rfind(b"\n") + 1])
    same = same_table(only_study(store), expected)
    errors = sync_and_check(only_study(store))
    remaining = list((only_study(store) / "checkpoints").glob("*"))
    figure = (
        f"{killed} kills, {lost} trials lost, same table: {same}, MLflow: {errors or 'every trial once, none RUNNING'}"
    )
    return Measured(figure, killed == count and not lost and same and not errors and not remaining)


def resume_long_trial(count: int, folder: Path) -> Measured:
    """Kill a long trial some time after a checkpoint; measure the age of the checkpoint and compare the resumed trial.

    A smaller count makes the trial shorter, and the interval between its checkpoints too.
    """
    interval = min(checkpoints.CHECKPOINT_INTERVAL_SECONDS, float(count))
    arguments = ["task=cat_species", *TINY, "dataset.size=32", "dataset.count=600", "model.nodes=[256]", "compute=cpu"]
    arguments += [f"training.epochs={30 * count}", "training.patience=null", "budget.trials=1"]
    store = folder / "killed"
    store.mkdir()
    expected = run_undisturbed(arguments, folder / "undisturbed")

    def start() -> ForkedSearch:
        return ForkedSearch(
            [*arguments, f"store={store}"], store / "output.txt", before=lambda: _set_interval(interval)
        )

    process = start()
    while not list(store.glob("studies/*/checkpoints/trial-*")):
        if (code := process.poll()) is not None:
            return Measured(f"not tested: the search ended before its first checkpoint, exit {code}", reached=code == 0)
        time.sleep(0.1)
    saved = 0.0
    until = time.time() + random.Random(count).uniform(0, interval - 1)
    while time.time() < until and process.poll() is None:
        with suppress(OSError):  # a newer checkpoint replaces the file meanwhile
            saved = max([saved, *(file.stat().st_mtime for file in only_study(store).glob("checkpoints/trial-*"))])
        time.sleep(0.05)
    repeated = time.time() - saved
    process.kill()
    process.wait()
    code = start().wait()
    same = same_table(only_study(store), expected)
    figure = f"{repeated:.1f} s of training repeated, same table: {same}"
    return Measured(figure, code == 0 and same and repeated <= interval + 1)


def _set_interval(interval: float) -> None:
    checkpoints.CHECKPOINT_INTERVAL_SECONDS = interval


def signals(count: int, folder: Path) -> Measured:
    """Send each of three signals at random moments of training; measure the time to the end and check the exit code."""
    store = folder / "store"
    rng = random.Random(count)
    slowest = 0.0
    failures = []
    saved = 0
    store.mkdir()
    arguments = ["task=cat_species", *TINY, "dataset.size=32", "dataset.count=400", "training.epochs=300"]
    arguments += ["budget.trials=1000", f"store={store}"]
    for turn in range(count):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = ForkedSearch(arguments, folder / "output.txt")
            while f"process {process.pid} on" not in "".join(
                each.read_text() for each in store.glob("studies/*/.owner")
            ):
                time.sleep(0.05)
            time.sleep(rng.uniform(0.5, 3))
            begin = time.monotonic()
            process.kill(number)
            code = process.wait()
            slowest = max(slowest, time.monotonic() - begin)
            saved += any(store.glob("studies/*/checkpoints/trial-*"))
            output = (folder / "output.txt").read_text().strip().splitlines()[-1:]
            if code != 128 + number or "run the same command again to resume" not in "".join(output):
                failures.append(f"{number.name}: exit {code}, {output}, turn {turn}")
    figure = f"{3 * count} signals, slowest end {slowest:.1f} s, a checkpoint after {saved} (the others between trials)"
    return Measured(
        f"{figure}{'; failures: ' if failures else ''}{'; '.join(failures)}", not failures and slowest < 5 and saved > 0
    )


def second_interrupt(count: int, folder: Path) -> Measured:
    """Send a second Ctrl-C while the first still waits for a training step."""
    slowest = 0.0
    codes = set()
    arguments = ["task=cat_species", *TINY, "budget.trials=1000", "training.epochs=300"]
    for turn in range(count):
        process = ForkedSearch([*arguments, f"store={folder / str(turn)}"], folder / "output.txt")
        process.wait_for("trial   1")
        process.kill(signal.SIGINT)
        time.sleep(0.4)
        begin = time.monotonic()
        process.kill(signal.SIGINT)
        codes.add(process.wait())
        slowest = max(slowest, time.monotonic() - begin)
    return Measured(f"exit {codes}, {slowest:.2f} s", codes == {130} and slowest < 1)


def kill_saving(count: int, folder: Path) -> Measured:
    """Kill a process that saves checkpoints of 8 MB in a loop; a readable one must always exist."""
    store = CheckpointStore(folder)
    rng = random.Random(count)
    unreadable = 0
    tensors = {"0.0.stack.values.0": torch.from_numpy(np.arange(2**21, dtype=np.float32))}
    history = {"curve": [[1.0, 0.5]], "best": 1, "ending": None}
    store.save({0: ""}, TrialCheckpoint((0, 0, 0), [history], tensors))
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            for step in range(10**6):
                store.save({0: ""}, TrialCheckpoint((1, 0, step), [history], tensors))
        time.sleep(rng.uniform(0.0, 0.03))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        unreadable += store.load_latest({0: ""}) is None
    return Measured(f"{unreadable} of {count} unreadable", unreadable == 0)


def suspended(count: int, folder: Path) -> Measured:
    """Suspend a search by SIGSTOP, then resume it in another time zone; the table must be the same."""
    arguments = [*ARGUMENTS, "budget.trials=6"]
    expected = run_undisturbed(arguments, folder / "undisturbed")
    store = folder / "suspended"
    store.mkdir()
    process = ForkedSearch([*arguments, f"store={store}"], store / "output.txt")
    process.wait_for("trial   1")
    process.kill(signal.SIGSTOP)
    time.sleep(count)
    process.kill(signal.SIGCONT)
    process.wait_for("trial   3")
    process.kill(signal.SIGTERM)
    process.wait()
    zone = os.environ.get("TZ")
    os.environ["TZ"] = "Pacific/Kiritimati"
    time.tzset()
    try:
        code = ForkedSearch([*arguments, f"store={store}"], store / "output.txt").wait()
    finally:
        os.environ.pop("TZ") if zone is None else os.environ.update(TZ=zone)
        time.tzset()
    same = same_table(only_study(store), expected)
    errors = find_mlflow_errors(only_study(store))
    return Measured(
        f"suspended {count} s, another time zone: same table: {same}, MLflow {errors or 'complete'}",
        code == 0 and same and not errors,
    )


def two_owners(_: int, folder: Path) -> Measured:
    """Start a second search on the same study while the first one runs."""
    arguments = ["task=cat_species", *TINY, "budget.trials=1000", f"store={folder}"]
    first = ForkedSearch(arguments, folder / "first.txt")
    first.wait_for("trial   1")
    code = ForkedSearch(arguments, folder / "second.txt").wait()
    first.kill(signal.SIGTERM)
    first.wait()
    output = (folder / "second.txt").read_text().strip().splitlines()[-1]
    named = f"is being searched by process {first.pid} on " in output and " since " in output
    return Measured(f"exit {code}: {output}", code == 2 and named)


ROWS = [
    Row("F1", "kill -9 at random moments", "200 kills, none lost or twice, no zombie, same table", 200, 4, kills),
    Row("F1", "kill -9 in a long trial", "at most 15 s of training repeated", 40, 2, resume_long_trial),
    Row("F3", "Ctrl-C, SIGTERM, SIGHUP", "exit 130, 143, 129 within 5 s, with a checkpoint", 10, 1, signals),
    Row("F3", "SIGTERM at random moments", "the same table, from the middle of trials", 30, 6, terminations),
    Row("F3", "a second Ctrl-C", "at once", 5, 1, second_interrupt),
    Row("F4", "killed while saving a checkpoint", "0 of 1,000 unreadable", 1_000, 20, kill_saving),
    Row("F9", "suspended; another time zone", "the same table", 60, 3, suspended),
    Row("F19", "two searches on one study", "the second names the owner and stops", 1, 1, two_owners),
]
