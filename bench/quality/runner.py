"""Run the jobs of the benchmark one after another, and keep a line of each in a file that a later run continues."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.quality.environment import make_environment
from bench.quality.peers import PEERS
from bench.quality.splits import SplitFiles
from bench.quality.tables import TABLES, choose_half

REPOSITORY = Path(__file__).resolve().parents[2]
METHODS = (*PEERS, "ours")
# Threads of several processes on few cores wait for one another, which would count as their work.
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}


@dataclass(frozen=True)
class Job:
    """A method on one split of a table; label: its name in the results."""

    table: str
    seed: int
    method: str
    label: str

    @property
    def key(self) -> tuple[str, int, str]:
        return self.table, self.seed, self.label


def plan_jobs(
    halves: Sequence[str], methods: Sequence[str], seeds: Sequence[int], max_rows: int, label: str = "ours"
) -> list[Job]:
    """Return the jobs in their order: the first half before the second, seed by seed, small tables first."""
    tables = [table for table in TABLES.values() if choose_half(table) in halves and table.rows <= max_rows]
    tables.sort(key=lambda table: (choose_half(table), table.rows))
    return [
        Job(table.name, seed, method, label if method == "ours" else method)
        for half in sorted(halves)
        for seed in seeds
        for table in tables
        if choose_half(table) == half
        for method in methods
    ]


class Runner:
    """Runs jobs as processes of their own; results, splits, logs and the peers' environment lie in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.results = self.folder / "results.jsonl"

    def run(self, jobs: Sequence[Job], overrides: Sequence[str] = ()) -> int:
        """Run the jobs that have no result yet and return the number of those that failed."""
        peers_python = str(make_environment(self.folder / "environment"))
        failed = 0
        for job in jobs:
            if job.key in {(line["table"], line["seed"], line["label"]) for line in read_results(self.results)}:
                continue  # also what another runner has finished meanwhile
            split = self._write_split(peers_python, job)
            python = sys.executable if job.method == "ours" else peers_python
            record = self._measure([python, *_make_arguments(job, split), *overrides], job)
            failed += "scores" not in record
            print(job.key, record.get("scores", "failed; see the log"), f"{record['cpu_seconds']:.1f} s", flush=True)
        return failed

    def _write_split(self, peers_python: str, job: Job) -> SplitFiles:
        split = SplitFiles(self.folder / "splits" / f"{job.table}-{job.seed}", TABLES[job.table])
        if not split.answers.is_file():
            arguments = ["-m", "bench.quality.job", "split", job.table, str(job.seed), str(split.folder)]
            subprocess.run([peers_python, *arguments], check=True, cwd=REPOSITORY)
        return split

    def _measure(self, command: Sequence[str], job: Job) -> dict[str, Any]:
        """Run a job; return its record, which is kept if the job succeeded.

        cpu_seconds are those of the process and of all processes that it waited for.
        """
        log = self.folder / "logs" / f"{job.table}-{job.seed}-{job.label}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        begin = time.perf_counter()
        with log.open("w") as errors:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, cwd=REPOSITORY, env=os.environ | ONE_THREAD
            )
            assert process.stdout is not None
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        record: dict[str, Any] = {"table": job.table, "seed": job.seed, "label": job.label}
        record["cpu_seconds"] = round(usage.ru_utime + usage.ru_stime, 2)
        record["wall_seconds"] = round(time.perf_counter() - begin, 2)
        record["memory_mb"] = usage.ru_maxrss // 1024
        if process.returncode == 0:
            record |= json.loads(output.splitlines()[-1])
            with self.results.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(record) + "\n")
        return record


def _make_arguments(job: Job, split: SplitFiles) -> list[str]:
    return ["-m", "bench.quality.job", job.method, job.table, str(job.seed), str(split.folder)]


def read_results(file: Path) -> list[dict[str, Any]]:
    """Return the records of a results file, none if there is no file."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [json.loads(line) for line in lines]
