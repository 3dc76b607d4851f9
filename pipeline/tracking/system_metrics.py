"""The machine's load while a search runs, a line every ten seconds in `<folder>/load.jsonl`, for MLflow to show."""

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

FILE = "load.jsonl"
FIRST, EVERY, PATIENCE = 2.0, 10.0, 5.0  # seconds
MEGABYTE = 2**20
GPU = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]


def watch(folder: Path, over: Event, search: int) -> None:
    """Writes a line now and then until it is over; search: the number of the process that trains.

    Nothing ends of it: on a full disk a line is missing.
    """
    psutil.cpu_percent()  # what it says is since its last call
    wait = FIRST
    while not over.wait(wait):
        wait = EVERY
        with suppress(OSError), (folder / FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": time.time(), **_measured(search)}) + "\n")


def size(folder: Path) -> int:
    """Bytes that were written so far."""
    file = folder / FILE
    return file.stat().st_size if file.is_file() else 0


def read(folder: Path, start: int) -> Iterator[tuple[int, float, dict[str, float]]]:
    """The lines from one on: its number, when it was (seconds since 1970, UTC), and what was measured.

    A line that a killed process has left unfinished counts, but says nothing.
    """
    file = folder / FILE
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.is_file() else []
    for number, line in enumerate(lines[start:], start=start):
        with suppress(ValueError):
            measured = json.loads(line)
            yield number, measured.pop("time"), measured


def _measured(search: int) -> dict[str, float]:
    """By the names that MLflow has for it: percent, and MB."""
    memory = psutil.virtual_memory()
    return {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": round(memory.used / MEGABYTE, 1),
        "system_memory_usage_percentage": memory.percent,
        "search_memory_usage_megabytes": round(_resident(search) / MEGABYTE, 1),
        **_gpus(),
    }


def _resident(search: int) -> int:
    """Bytes that the search and its workers have in memory; this process is one of its children, and small."""
    with suppress(psutil.Error):
        process = psutil.Process(search)
        return sum(_own(each) for each in (process, *process.children(recursive=True)))
    return 0


def _own(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _gpus() -> dict[str, float]:
    """Of each NVIDIA GPU, where there is one."""
    if shutil.which(GPU[0]) is None:
        return {}
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        found = subprocess.run(GPU, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
        pairs = [tuple(map(float, line.split(","))) for line in found.splitlines()]
        return {
            f"gpu_{place}_{name}": value
            for place, pair in enumerate(pairs)
            for name, value in zip(("utilization_percentage", "memory_usage_megabytes"), pair, strict=True)
        }
    return {}
