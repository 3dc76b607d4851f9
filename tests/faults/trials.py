"""Trials that come to nothing, studies that are asked for something else, and many trials in one process."""

from __future__ import annotations

import json
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.process import TINY, Forked, mlflow_is_whole, study
from tests.faults.row import Measured, Row

PAGE, MEMORY = resource.getpagesize(), 8 * 2**30
CAT = ("task=cat_species", *TINY)


def _ended(words: list[str], folder: Path, before: Callable[[], object] = lambda: None) -> tuple[int, str]:
    """The exit code of a search, and what it said."""
    code = Forked([*words, f"store={folder}"], folder / "said.txt", before).wait()
    return code, (folder / "said.txt").read_text()


def _trials(folder: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((study(folder) / "summary.json").read_text())["trials"]
    return found


def diverging(count: int, folder: Path) -> Measured:
    """Learning rates at which numbers become infinite, among others."""
    words = [
        *CAT,
        "space=none",
        "training.optimizer=sgd",
        "training.learning_rate={choice: [0.01, 100, 90, 80]}",
        "training.epochs=30",
    ]
    code, _ = _ended([*words, f"budget.trials={count}"], folder)
    trials, summary = _trials(folder), json.loads((study(folder) / "summary.json").read_text())
    best = "training.learning_rate=0.01" in summary["best"]["overrides"] or summary["best"]["number"] == 0
    return Measured(f"exit {code}, {trials}, best is finite: {best}", code == 0 and trials["diverged"] > 0 and best)


def out_of_memory(count: int, folder: Path) -> Measured:
    """Some networks need more memory than the process may have: those fail with their reason, others go on."""
    words = [*CAT, "space=none", "model.nodes={choice: [8, 16, 20000]}", "model.layers=2", "model.shape=same"]
    words += ["sampler=random"]
    code, said = _ended(
        [*words, f"budget.trials={count}"], folder, lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    )
    trials = _trials(folder) if code == 0 else {}
    reason = "memory" in said
    reached = code == 0 and trials["failed"] > 0 and trials["complete"] > 1 and reason
    return Measured(f"exit {code}, {trials or said[-200:]}, the reason is said: {reason}", reached)


def dying_workers(_: int, folder: Path) -> Measured:
    """Every worker is killed as soon as it trains something after the baseline: the third time the search stops."""
    words = [*CAT, "training.epochs=2000", "compute.workers=2", "budget.trials=50", "pruner=none", "study=dying"]
    process = Forked([*words, f"store={folder}", "training.patience=null"], folder / "said.txt")
    process.until("trial   0")
    while (code := process.ended()) is None:
        time.sleep(0.5)
        found = subprocess.run(
            ["pgrep", "-P", str(process.pid), "-f", "pipeline.tuner.worker"],
            capture_output=True,
            text=True,
            check=False,
        )
        for pid in found.stdout.split():
            subprocess.run(["kill", "-9", pid], check=False)
    last = (folder / "said.txt").read_text().strip().splitlines()[-1]
    clear = last.startswith("3 trials in a row failed with the same error: WorkerError: ")
    return Measured(f"exit {code}: {last}", code == 1 and clear)


def nothing_works(_: int, folder: Path) -> Measured:
    """Every trial diverges."""
    words = [*CAT, "space=none", "training.optimizer=sgd", "training.learning_rate=100", "budget.trials=1"]
    words += ["training.weight_decay=1", "training.epochs=60"]
    code, said = _ended(words, folder)
    model = list(folder.rglob("parameters.safetensors")) + list(folder.rglob("summary.json"))
    last = said.strip().splitlines()[-1]
    return Measured(f"exit {code}, files: {len(model)}, {last}", code == 1 and not model and "no model" in last)


def changed(_: int, folder: Path) -> Measured:
    """Another search under the same name: refused, with what differs and what to do. A longer one is no other."""
    first = [*CAT, "budget.trials=2", "study=mine"]
    assert _ended(first, folder)[0] == 0
    before = (study(folder) / "trials.log").read_bytes()
    changes = {
        "data": ["dataset.count=91"],
        "folds": ["cv.test=0.3"],
        "metric": ["metric=f1_macro"],
        "space": ["training.learning_rate={low: 1e-3, high: 1e-2, log: true}"],
        "seed": ["seed=1"],
        "task": ["task=day_night"],
        "pruner": ["pruner=none"],
    }
    odd = []
    for fact, words in changes.items():
        code, said = _ended([word for word in first if word.split("=")[0] != words[0].split("=")[0]] + words, folder)
        if code != 2 or f"{fact}: " not in said or "use another study=, or leave study out" not in said:
            odd.append(f"{fact}: exit {code}, {said.strip()[-200:]}")
    kept = (study(folder) / "trials.log").read_bytes() == before
    more = _ended([*CAT, "budget.trials=3", "study=mine"], folder)[0]
    figure = (
        f"{len(changes) - len(odd)} of {len(changes)} changes refused, record kept: {kept}, more trials: exit {more}"
    )
    wrong = mlflow_is_whole(study(folder))
    return Measured("; ".join([figure, *odd, wrong]), not odd and kept and more == 0 and not wrong)


def many(count: int, folder: Path) -> Measured:
    """Many trials in one process: its least memory while the second ten run, and while the last ten do.

    The least, since a large network takes more for as long as it is trained.
    """
    process = Forked([*CAT, "training.epochs=2", f"budget.trials={count}", f"store={folder}"], folder / "said.txt")
    early, late = [], []
    while process.ended() is None:
        done = (folder / "said.txt").read_text().count("\ntrial ") if (folder / "said.txt").is_file() else 0
        if 10 <= done < 20:
            early.append(_resident(process.pid))
        elif count - 10 <= done < count:
            late.append(_resident(process.pid))
        time.sleep(0.02)
    grown = (min(late) - min(early)) / 2**20
    return Measured(f"{min(early) / 2**20:.0f} MB after 10 trials, {grown:+.1f} MB after {count}", grown < 20)


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


ROWS = [
    Row("F11", "NaN or infinity", "diverged, never best, the search goes on", 12, 6, diverging),
    Row("F12", "out of memory in a trial", "recorded with its reason, the search goes on", 12, 8, out_of_memory),
    Row(
        "F12",
        "workers killed one after the other",
        "after three of the same cause it stops with advice",
        1,
        1,
        dying_workers,
    ),
    Row("F13", "all trials fail", "exit 1, no model files", 1, 1, nothing_works),
    Row("F15", "the search is changed on resume", "refused with what differs and two ways out", 1, 1, changed),
    Row("F18", "500 trials in one process", "grows by under 20 MB", 500, 30, many),
]
