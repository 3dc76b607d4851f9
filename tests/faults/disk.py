"""Run searches on full disks, unwritable folders, and databases that other processes create or lock."""

from __future__ import annotations

import ctypes
import os
import shutil
import sqlite3
import subprocess
import time
import traceback
from pathlib import Path
from threading import Thread

from pipeline.tracking.client import connect
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

ARGUMENTS = ("task=cat_species", *TINY, "dataset.size=32", "training.epochs=10", "budget.trials=6")
CLONE_NEWUSER = 0x10000000  # of linux/sched.h; os.unshare exists from Python 3.12 on
CLONE_NEWNS = 0x00020000


def full_disk(_: int, folder: Path) -> Measured:
    """Search on a file system of 100 kB to 3 MB in an own mount namespace, then again with space."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        return Measured("not tested: this system does not allow users to mount a file system", reached=True)
    expected = run_undisturbed(ARGUMENTS, folder / "undisturbed")
    results = []
    same = True
    for size in ("100k", "1500k", "3m"):
        mounted = folder / "mounted"
        copy = folder / f"copy-{size}"
        mounted.mkdir(exist_ok=True)
        output = folder / "output.txt"
        code = _search_on_small_disk(size, mounted, copy, output)
        lines = output.read_text().splitlines()
        # Without an error the study did fit, and only MLflow's database did not.
        last = lines[-1] if code else next((line for line in lines if "MLflow lacks a part" in line), "")
        clear = "cannot be written" in last if code else bool(last)
        results.append(f"{size}: exit {code}, {last}")
        same = same and clear and "Traceback" not in output.read_text()
        for lock in copy.rglob("*.lock"):
            lock.unlink()
        assert ForkedSearch([*ARGUMENTS, f"store={copy}"], output).wait() == 0, output.read_text()
        same = same and same_table(only_study(copy), expected) and not sync_and_check(only_study(copy))
    return Measured(f"{'; '.join(results)}; with space again the same table: {same}", same)


def _search_on_small_disk(size: str, mounted: Path, copy: Path, output: Path) -> int:
    """Search on a file system of this size, seen by a forked process alone; copy its files; return the exit code."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            maps = {"setgroups": "deny", "uid_map": f"0 {os.getuid()} 1", "gid_map": f"0 {os.getgid()} 1"}
            ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNS)
            for name, text in maps.items():
                Path("/proc/self", name).write_text(text)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", mounted], check=True)
            code = ForkedSearch([*ARGUMENTS, f"store={mounted}"], output, report=True).wait()
            shutil.copytree(mounted, copy)
        except BaseException:  # noqa: BLE001 -- nothing else would report it
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def unwritable(_: int, folder: Path) -> Measured:
    """Refuse a store where not even root can create a file."""
    begin = time.monotonic()
    code = ForkedSearch([*ARGUMENTS, "store=/proc/store"], folder / "output.txt").wait()
    output = (folder / "output.txt").read_text().strip().splitlines()
    seconds = time.monotonic() - begin
    refused = (
        code == 2 and len(output) == 1 and output[0].startswith("store: a folder that can be written to; got /proc")
    )
    return Measured(f"exit {code} after {seconds:.1f} s: {'; '.join(output)}", refused and seconds < 2)


def connect_together(count: int, folder: Path) -> Measured:
    """Connect eight processes at once to a store without a database, `count` times."""
    failed = 0
    for turn in range(count):
        store = folder / str(turn)
        store.mkdir()
        pids = []
        for _ in range(8):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                    connect(None, store).search_experiments(max_results=1)
                    code = 0
                finally:
                    os._exit(code)
            pids.append(pid)
        failed += sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)
        shutil.rmtree(store)
    return Measured(f"{failed} of {8 * count} failed", failed == 0)


def locked(count: int, folder: Path) -> Measured:
    """Lock MLflow's database for `count` seconds from the first trial on."""
    store = folder / "store"
    store.mkdir()
    expected = run_undisturbed(ARGUMENTS, folder / "undisturbed")
    process = ForkedSearch([*ARGUMENTS, f"store={store}"], folder / "output.txt")
    process.wait_for("trial   0")
    while not (store / "mlflow.db").exists() and process.poll() is None:
        time.sleep(0.05)  # a database created later would replace the locked one

    def hold() -> None:
        database = sqlite3.connect(store / "mlflow.db", isolation_level=None)
        database.execute("BEGIN EXCLUSIVE")
        time.sleep(count)
        database.execute("ROLLBACK")
        database.close()

    holder = Thread(target=hold)
    holder.start()
    code = process.wait()
    holder.join()
    output = (folder / "output.txt").read_text()
    errors = find_mlflow_errors(only_study(store))
    same = same_table(only_study(store), expected)
    warned = "MLflow cannot be written to now" in output or count < 25
    return Measured(
        f"locked {count} s: exit {code}, warned: {warned}, same table: {same}, MLflow {errors or 'complete'}",
        code == 0 and same and warned and not errors,
    )


ROWS = [
    Row("F5", "disk full", "stops cleanly; with space again the same table", 1, 1, full_disk),
    Row("F6", "folder not writable", "refused in under 2 s after start-up", 1, 1, unwritable),
    Row("F7", "8 processes on a new database at once", "0 of 400 fail", 50, 2, connect_together),
    Row("F8", "database locked by another process", "60 s: waits and warns, 0 failures", 60, 3, locked),
]
