"""Killed, stopped and suspended searches."""

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
from tests.faults.process import TINY, Forked, mlflow_is_whole, same_table, study, synced, whole
from tests.faults.row import Measured, Row

WORDS = ("task=cat_species", *TINY, "training.epochs=30")


def terminations(count: int, folder: Path) -> Measured:
    """SIGTERM at random moments: every time it goes on in the middle of a trial."""
    return kills(count, folder, signal.SIGTERM)


def kills(count: int, folder: Path, number: signal.Signals = signal.SIGKILL) -> Measured:
    """Kill -9 at random moments, until the search is through; the record may only ever grow."""
    words = [*WORDS, f"budget.trials={max(4, count)}"]
    expected = whole(words, folder / "whole")
    store, chance = folder / "killed", random.Random(count)
    store.mkdir()
    done, record, lost = 0, b"", 0
    while True:
        process = Forked([*words, f"store={store}"], store / "said.txt")
        if done < count:
            time.sleep(chance.uniform(0.1, 1.5))
            if process.ended() is None:
                process.kill(number)
                process.wait()
                done += 1
        elif (code := process.wait()) != 0:
            return Measured(f"exit {code}: {(store / 'said.txt').read_text()}", reached=False)
        else:
            break
        for file in (store / "studies").glob("*/trials.log"):
            now = file.read_bytes()
            lost += not now.startswith(record[: record.rfind(b"\n") + 1])
            record = now
    same, wrong = same_table(study(store), expected), synced(study(store))
    left = list((study(store) / "checkpoints").glob("*"))
    figure = (
        f"{done} kills, {lost} trials lost, same table: {same}, MLflow: {wrong or 'every trial once, none RUNNING'}"
    )
    return Measured(figure, done == count and not lost and same and not wrong and not left)


def redone(count: int, folder: Path) -> Measured:
    """Kill a long trial some time after a checkpoint: how old that is then, and that the trial ends the same.

    Of a small count the trial is as much shorter, and so is the interval between its checkpoints.
    """
    interval = min(checkpoints.CHECKPOINT_INTERVAL_SECONDS, float(count))
    words = ["task=cat_species", *TINY, "dataset.size=32", "dataset.count=600", "model.nodes=[256]", "compute=cpu"]
    words += [f"training.epochs={30 * count}", "training.patience=null", "budget.trials=1"]
    store = folder / "killed"
    store.mkdir()
    expected = whole(words, folder / "whole")

    def search_again() -> Forked:
        return Forked([*words, f"store={store}"], store / "said.txt", before=lambda: _shorten(interval))

    process = search_again()
    while not list(store.glob("studies/*/checkpoints/trial-*")):
        if (code := process.ended()) is not None:
            return Measured(f"not tried: it ended before its first checkpoint, exit {code}", reached=code == 0)
        time.sleep(0.1)
    kept, until = 0.0, time.time() + random.Random(count).uniform(0, interval - 1)
    while time.time() < until and process.ended() is None:
        with suppress(OSError):  # one takes the place of another
            kept = max([kept, *(file.stat().st_mtime for file in study(store).glob("checkpoints/trial-*"))])
        time.sleep(0.05)
    again = time.time() - kept
    process.kill()
    process.wait()
    code = search_again().wait()
    same = same_table(study(store), expected)
    figure = f"{again:.1f} s of training done again, same table: {same}"
    return Measured(figure, code == 0 and same and again <= interval + 1)


def _shorten(interval: float) -> None:
    checkpoints.CHECKPOINT_INTERVAL_SECONDS = interval


def signals(count: int, folder: Path) -> Measured:
    """Each of the three signals at random moments of training: how long the search takes to end, and with what code."""
    store, chance, slowest, odd, saved = folder / "store", random.Random(count), 0.0, [], 0
    store.mkdir()
    words = ["task=cat_species", *TINY, "dataset.size=32", "dataset.count=400", "training.epochs=300"]
    words += ["budget.trials=1000", f"store={store}"]
    for turn in range(count):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = Forked(words, folder / "said.txt")
            while f"process {process.pid} on" not in "".join(
                each.read_text() for each in store.glob("studies/*/.owner")
            ):
                time.sleep(0.05)
            time.sleep(chance.uniform(0.5, 3))
            begin = time.monotonic()
            process.kill(number)
            code = process.wait()
            slowest = max(slowest, time.monotonic() - begin)
            saved += any(store.glob("studies/*/checkpoints/trial-*"))
            said = (folder / "said.txt").read_text().strip().splitlines()[-1:]
            if code != 128 + number or "run the same command again to resume" not in "".join(said):
                odd.append(f"{number.name}: exit {code}, {said}, turn {turn}")
    figure = f"{3 * count} signals, slowest end {slowest:.1f} s, a checkpoint after {saved} (the others between trials)"
    return Measured(f"{figure}{'; odd: ' if odd else ''}{'; '.join(odd)}", not odd and slowest < 5 and saved > 0)


def twice(count: int, folder: Path) -> Measured:
    """A second Ctrl-C while the first is still waiting for a step."""
    slowest, codes = 0.0, set()
    words = ["task=cat_species", *TINY, "budget.trials=1000", "training.epochs=300"]
    for turn in range(count):
        process = Forked([*words, f"store={folder / str(turn)}"], folder / "said.txt")
        process.until("trial   1")
        process.kill(signal.SIGINT)
        time.sleep(0.4)
        begin = time.monotonic()
        process.kill(signal.SIGINT)
        codes.add(process.wait())
        slowest = max(slowest, time.monotonic() - begin)
    return Measured(f"exit {codes}, {slowest:.2f} s", codes == {130} and slowest < 1)


def half_written(count: int, folder: Path) -> Measured:
    """Killed while it saves a checkpoint of 8 MB over and over: one that can be read is always there."""
    saved_trials, chance, unreadable = CheckpointStore(folder), random.Random(count), 0
    tensors = {"0.0.stack.values.0": torch.from_numpy(np.arange(2**21, dtype=np.float32))}
    course = {"curve": [[1.0, 0.5]], "best": 1, "ending": None}
    saved_trials.save({0: ""}, TrialCheckpoint((0, 0, 0), [course], tensors))
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            for step in range(10**6):
                saved_trials.save({0: ""}, TrialCheckpoint((1, 0, step), [course], tensors))
        time.sleep(chance.uniform(0.0, 0.03))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        unreadable += saved_trials.load_latest({0: ""}) is None
    return Measured(f"{unreadable} of {count} unreadable", unreadable == 0)


def suspended(count: int, folder: Path) -> Measured:
    """SIGSTOP for a while, then on, in another time zone after a restart: the same table."""
    words = [*WORDS, "budget.trials=6"]
    expected = whole(words, folder / "whole")
    store = folder / "suspended"
    store.mkdir()
    process = Forked([*words, f"store={store}"], store / "said.txt")
    process.until("trial   1")
    process.kill(signal.SIGSTOP)
    time.sleep(count)
    process.kill(signal.SIGCONT)
    process.until("trial   3")
    process.kill(signal.SIGTERM)
    process.wait()
    zone = os.environ.get("TZ")
    os.environ["TZ"] = "Pacific/Kiritimati"
    time.tzset()
    try:
        code = Forked([*words, f"store={store}"], store / "said.txt").wait()
    finally:
        os.environ.pop("TZ") if zone is None else os.environ.update(TZ=zone)
        time.tzset()
    same, wrong = same_table(study(store), expected), mlflow_is_whole(study(store))
    return Measured(
        f"suspended {count} s, another time zone: same table: {same}, MLflow {wrong or 'whole'}",
        code == 0 and same and not wrong,
    )


def two_owners(_: int, folder: Path) -> Measured:
    """A second search on the same study, while the first one runs."""
    words = ["task=cat_species", *TINY, "budget.trials=1000", f"store={folder}"]
    first = Forked(words, folder / "first.txt")
    first.until("trial   1")
    code = Forked(words, folder / "second.txt").wait()
    first.kill(signal.SIGTERM)
    first.wait()
    said = (folder / "second.txt").read_text().strip().splitlines()[-1]
    named = f"is being searched by process {first.pid} on " in said and " since " in said
    return Measured(f"exit {code}: {said}", code == 2 and named)


ROWS = [
    Row("F1", "kill -9 at random moments", "200 kills, none lost or twice, no zombie, same table", 200, 4, kills),
    Row("F1", "kill -9 in a long trial", "at most 15 s of training done again", 40, 4, redone),
    Row("F3", "Ctrl-C, SIGTERM, SIGHUP", "exit 130, 143, 129 within 5 s, with a checkpoint", 10, 1, signals),
    Row("F3", "SIGTERM at random moments", "the same table, from the middle of trials", 30, 6, terminations),
    Row("F3", "a second Ctrl-C", "at once", 5, 1, twice),
    Row("F4", "killed while saving a checkpoint", "0 of 1,000 unreadable", 1_000, 20, half_written),
    Row("F9", "suspended; another time zone", "no effect", 60, 3, suspended),
    Row("F19", "two searches on one study", "the second says who owns it, and stops", 1, 1, two_owners),
]
