"""System metrics while a search runs: a line every ten seconds in `<folder>/load.jsonl`."""

import json
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
    """Return the metrics by MLflow's names, in percent and megabytes."""
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
    total = 0
    with suppress(psutil.Error):
        search = psutil.Process(search_pid)
        for process in (search, *search.children(recursive=True)):
            with suppress(psutil.Error):  # it has ended
                total += process.memory_info().rss
    return total


def _measure_gpus() -> dict[str, float]:
    """Return utilization and memory of each NVIDIA GPU; nothing without `nvidia-smi`."""
    values: dict[str, float] = {}
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        output = subprocess.check_output(GPU_QUERY_COMMAND, text=True, timeout=5, stderr=subprocess.DEVNULL)
        for index, line in enumerate(output.splitlines()):
            utilization, memory = map(float, line.split(","))
            values[f"gpu_{index}_utilization_percentage"] = utilization
            values[f"gpu_{index}_memory_usage_megabytes"] = memory
    return values
