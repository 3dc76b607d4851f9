"""Run trials that fail, studies resumed with a changed search, and many trials in one process."""

from __future__ import annotations

import json
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.process import TINY, ForkedSearch, find_mlflow_errors, only_study
from tests.faults.row import Measured, Row

PAGE_BYTES = resource.getpagesize()
MEMORY_LIMIT = 8 * 2**30
CAT = ("task=cat_species", *TINY)


def _run_search(arguments: list[str], folder: Path, before: Callable[[], object] = lambda: None) -> tuple[int, str]:
    """Run a search, and return its exit code and output."""
    code = ForkedSearch([*arguments, f"store={folder}"], folder / "output.txt", before).wait()
    return code, (folder / "output.txt").read_text()


def _trial_counts(folder: Path) -> dict[str, int]:
    counts: dict[str, int] = json.loads((only_study(folder) / "summary.json").read_text())["trials"]
    return counts


def diverging(count: int, folder: Path) -> Measured:
    """Search over learning rates of which some make the loss infinite."""
    arguments = [
        *CAT,
        "space=none",
        "training.optimizer=sgd",
        "training.learning_rate={choice: [0.01, 100, 90, 80]}",
        "training.epochs=30",
    ]
    code, _ = _run_search([*arguments, f"budget.trials={count}"], folder)
    trials = _trial_counts(folder)
    summary = json.loads((only_study(folder) / "summary.json").read_text())
    best = "training.learning_rate=0.01" in summary["best"]["overrides"] or summary["best"]["number"] == 0
    return Measured(f"exit {code}, {trials}, best is finite: {best}", code == 0 and trials["diverged"] > 0 and best)


def out_of_memory(count: int, folder: Path) -> Measured:
    """Limit memory so that some networks do not fit: those must fail with their reason, the others must complete."""
    arguments = [*CAT, "space=none", "model.nodes={choice: [8, 16, 20000]}", "model.layers=2", "model.shape=same"]
    arguments += ["sampler=random"]
    code, output = _run_search(
        [*arguments, f"budget.trials={count}"],
        folder,
        lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT)),
    )
    trials = _trial_counts(folder) if code == 0 else {}
    reason = "memory" in output
    reached = code == 0 and trials["failed"] > 0 and trials["complete"] > 1 and reason
    return Measured(f"exit {code}, {trials or output[-200:]}, reason shown: {reason}", reached)


def dying_workers(_: int, folder: Path) -> Measured:
    """Kill every worker that trains a trial after the baseline; the search must stop after the third."""
    arguments = [*CAT, "training.epochs=2000", "compute.workers=2", "budget.trials=50", "pruner=none", "study=dying"]
    process = ForkedSearch([*arguments, f"store={folder}", "training.patience=null"], folder / "output.txt")
    process.wait_for("trial   0")
    while (code := process.poll()) is None:
        time.sleep(0.5)
        found = subprocess.run(
            ["pgrep", "-P", str(process.pid), "-f", "pipeline.tuner.worker"],
            capture_output=True,
            text=True,
            check=False,
        )
        for pid in found.stdout.split():
            subprocess.run(["kill", "-9", pid], check=False)
    last = (folder / "output.txt").read_text().strip().splitlines()[-1]
    clear = last.startswith("3 trials in a row failed with the same error: WorkerError: ")
    return Measured(f"exit {code}: {last}", code == 1 and clear)


def nothing_works(_: int, folder: Path) -> Measured:
    """Let every trial diverge; the search must end with exit code 1 and write no model."""
    arguments = [*CAT, "space=none", "training.optimizer=sgd", "training.learning_rate=100", "budget.trials=1"]
    arguments += ["training.weight_decay=1", "training.epochs=60"]
    code, output = _run_search(arguments, folder)
    model = list(folder.rglob("parameters.safetensors")) + list(folder.rglob("summary.json"))
    last = output.strip().splitlines()[-1]
    return Measured(f"exit {code}, files: {len(model)}, {last}", code == 1 and not model and "no model" in last)


def change_search(_: int, folder: Path) -> Measured:
    """Resume a study with each setting changed, which must be refused, and with more trials, which must run."""
    first = [*CAT, "budget.trials=2", "study=mine"]
    assert _run_search(first, folder)[0] == 0
    before = (only_study(folder) / "trials.log").read_bytes()
    changes = {
        "data": ["dataset.count=91"],
        "folds": ["cv.test=0.3"],
        "metric": ["metric=f1_macro"],
        "space": ["training.learning_rate={low: 1e-3, high: 1e-2, log: true}"],
        "seed": ["seed=1"],
        "task": ["task=day_night"],
        "pruner": ["pruner=none"],
    }
    failures = []
    for fact, arguments in changes.items():
        code, output = _run_search(
            [argument for argument in first if argument.split("=")[0] != arguments[0].split("=")[0]] + arguments, folder
        )
        if code != 2 or f"{fact}: " not in output or "use another study=, or leave study out" not in output:
            failures.append(f"{fact}: exit {code}, {output.strip()[-200:]}")
    unchanged = (only_study(folder) / "trials.log").read_bytes() == before
    more = _run_search([*CAT, "budget.trials=3", "study=mine"], folder)[0]
    refused = len(changes) - len(failures)
    figure = f"{refused} of {len(changes)} changes refused, trials.log unchanged: {unchanged}, more trials: exit {more}"
    errors = find_mlflow_errors(only_study(folder))
    return Measured("; ".join([figure, *failures, errors]), not failures and unchanged and more == 0 and not errors)


def run_many_trials(count: int, folder: Path) -> Measured:
    """Compare the least memory of a process during its second ten trials with that during its last ten.

    The least is compared since a large network takes more memory while it trains.
    """
    process = ForkedSearch(
        [*CAT, "training.epochs=2", f"budget.trials={count}", f"store={folder}"], folder / "output.txt"
    )
    early = []
    late = []
    while process.poll() is None:
        done = (folder / "output.txt").read_text().count("\ntrial ") if (folder / "output.txt").is_file() else 0
        if 10 <= done < 20:
            early.append(_resident_bytes(process.pid))
        elif count - 10 <= done < count:
            late.append(_resident_bytes(process.pid))
        time.sleep(0.02)
    growth = (min(late) - min(early)) / 2**20
    return Measured(f"{min(early) / 2**20:.0f} MB after 10 trials, {growth:+.1f} MB after {count}", growth < 20)


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


ROWS = [
    Row("F11", "NaN or infinity", "diverged, never best, the search goes on", 12, 6, diverging),
    Row("F12", "out of memory in a trial", "recorded with its reason, the search goes on", 12, 8, out_of_memory),
    Row(
        "F12",
        "workers killed one after the other",
        "stops with advice after three of the same cause",
        1,
        1,
        dying_workers,
    ),
    Row("F13", "all trials fail", "exit 1, no model files", 1, 1, nothing_works),
    Row(
        "F15",
        "the search is changed at resumption",
        "refused with the difference and two remedies",
        1,
        1,
        change_search,
    ),
    Row("F18", "500 trials in one process", "grows by under 20 MB", 500, 30, run_many_trials),
]
