"""Full disks, folders that cannot be written to, databases that others make or lock."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

from pipeline.tracking.client import connect
from tests.faults.process import TINY, Forked, mlflow_is_whole, same_table, study, synced, whole
from tests.faults.row import Measured, Row

WORDS = ("task=cat_species", *TINY, "dataset.size=32", "training.epochs=10", "budget.trials=6")
FULL = """
mount -t tmpfs -o size=$SIZE none $STORE
"$@"
code=$?
cp -r $STORE $KEPT
exit $code
"""


def full(_: int, folder: Path) -> Measured:
    """A file system of a few hundred kilobytes to some megabytes, in a mount namespace of its own."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        return Measured("not tried: this system lets nobody mount a file system of their own", reached=True)
    expected = whole(WORDS, folder / "whole")
    ends, same = [], True
    for size in ("100k", "1500k", "3m"):
        mounted, kept = folder / "mounted", folder / f"kept-{size}"
        mounted.mkdir(exist_ok=True)
        command = ["unshare", "-rm", "sh", "-c", FULL, "sh", sys.executable, "-m", "pipeline.search", *WORDS]
        around = os.environ | {"SIZE": size, "STORE": str(mounted), "KEPT": str(kept)}
        done = subprocess.run(
            [*command, f"store={mounted}"], env=around, capture_output=True, text=True, check=False, timeout=300
        )
        if done.returncode:  # the study did not fit; otherwise MLflow's database alone did not
            last = (done.stderr.strip().splitlines() or [""])[-1]
            clear = "written" in last
        else:
            last = next((line for line in done.stdout.splitlines() if "not all of it is in MLflow" in line), "")
            clear = bool(last)
        ends.append(f"{size}: exit {done.returncode}, {last}")
        same = same and clear and "Traceback" not in done.stderr
        for lock in kept.rglob("*.lock"):
            lock.unlink()
        assert Forked([*WORDS, f"store={kept}"], folder / "said.txt").wait() == 0, (folder / "said.txt").read_text()
        same = same and same_table(study(kept), expected) and not synced(study(kept))
    return Measured(f"{'; '.join(ends)}; with space again the same table: {same}", same)


def unwritable(_: int, folder: Path) -> Measured:
    """A place where not even root can make a file."""
    begin = time.monotonic()
    code = Forked([*WORDS, "store=/proc/store"], folder / "said.txt").wait()
    said = (folder / "said.txt").read_text().strip().splitlines()
    seconds = time.monotonic() - begin
    right = code == 2 and len(said) == 1 and said[0].startswith("store: a folder that can be written to; got /proc")
    return Measured(f"exit {code} after {seconds:.1f} s: {'; '.join(said)}", right and seconds < 2)


def together(count: int, folder: Path) -> Measured:
    """Eight processes at once on a store without a database, again and again."""
    died = 0
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
        died += sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)
        shutil.rmtree(store)
    return Measured(f"{died} of {8 * count} died", died == 0)


def locked(count: int, folder: Path) -> Measured:
    """Another process holds MLflow's database for a while, from the first trial on."""
    store = folder / "store"
    store.mkdir()
    expected = whole(WORDS, folder / "whole")
    process = Forked([*WORDS, f"store={store}"], folder / "said.txt")
    process.until("trial   0")
    while not (store / "mlflow.db").exists() and process.ended() is None:
        time.sleep(0.05)  # one that is still to be made would take the place of what is held

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
    said = (folder / "said.txt").read_text()
    wrong = mlflow_is_whole(study(store))
    same, waited = same_table(study(store), expected), "MLflow cannot be written to now" in said or count < 25
    return Measured(
        f"locked {count} s: exit {code}, said so: {waited}, same table: {same}, MLflow {wrong or 'whole'}",
        code == 0 and same and waited and not wrong,
    )


ROWS = [
    Row("F5", "disk full", "stops cleanly; with space again the same table", 1, 1, full),
    Row("F6", "folder not writable", "refused in under 2 s after start-up", 1, 1, unwritable),
    Row("F7", "8 started together on a fresh database", "0 of 400 die", 50, 2, together),
    Row("F8", "database locked by another process", "60 s: waits and says so, 0 failures", 60, 3, locked),
]
