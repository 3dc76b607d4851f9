"""System metrics while a search runs: a line every ten seconds in `<folder>/load.jsonl`."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event

import psutil

SYSTEM_METRICS_FILE = "load.jsonl"
FIRST_INTERVAL_SECONDS = 2.0
INTERVAL_SECONDS = 10.0
GPU_QUERY_TIMEOUT_SECONDS = 5.0
BYTES_PER_MEGABYTE = 2**20
GPU_QUERY_COMMAND = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]


def record_system_metrics(folder: Path, search_ended: Event, search_pid: int) -> None:
    """Write a line every few seconds until the search has ended; search_pid: process that trains.

    On a full disk lines are missing, and nothing fails.
    """
    psutil.cpu_percent()  # it measures the time since its last call
    interval = FIRST_INTERVAL_SECONDS
    while not search_ended.wait(interval):
        interval = INTERVAL_SECONDS
        with suppress(OSError), (folder / SYSTEM_METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": time.time(), **_measure_system(search_pid)}) + "\n")


def get_file_size(folder: Path) -> int:
    """Return the size in bytes of the file of measurements."""
    file = folder / SYSTEM_METRICS_FILE
    return file.stat().st_size if file.is_file() else 0


def read_measurements(folder: Path, first_line: int) -> Iterator[tuple[int, float, dict[str, float]]]:
    """Yield number, time (seconds since 1970, UTC) and measurements of the lines from `first_line` on.

    An unfinished line of a killed process is counted and skipped.
    """
    file = folder / SYSTEM_METRICS_FILE
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.is_file() else []
    for line_number, line in enumerate(lines[first_line:], start=first_line):
        with suppress(ValueError):
            measurements = json.loads(line)
            yield line_number, measurements.pop("time"), measurements


def _measure_system(search_pid: int) -> dict[str, float]:
    """Return the measurements by MLflow's names, in percent and megabytes."""
    memory = psutil.virtual_memory()
    return {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": round(memory.used / BYTES_PER_MEGABYTE, 1),
        "system_memory_usage_percentage": memory.percent,
        "search_memory_usage_megabytes": round(_measure_search_memory(search_pid) / BYTES_PER_MEGABYTE, 1),
        **_measure_gpus(),
    }


def _measure_search_memory(search_pid: int) -> int:
    """Return the resident bytes of the search and its child processes, of which this one is small."""
    with suppress(psutil.Error):
        process = psutil.Process(search_pid)
        return sum(_measure_process_memory(each) for each in (process, *process.children(recursive=True)))
    return 0


def _measure_process_memory(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _measure_gpus() -> dict[str, float]:
    """Return the measurements of each NVIDIA GPU."""
    if shutil.which(GPU_QUERY_COMMAND[0]) is None:
        return {}
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        output = subprocess.run(
            GPU_QUERY_COMMAND, capture_output=True, text=True, check=True, timeout=GPU_QUERY_TIMEOUT_SECONDS
        ).stdout
        pairs = [tuple(map(float, line.split(","))) for line in output.splitlines()]
        return {
            f"gpu_{place}_{name}": value
            for place, pair in enumerate(pairs)
            for name, value in zip(("utilization_percentage", "memory_usage_megabytes"), pair, strict=True)
        }
    return {}
