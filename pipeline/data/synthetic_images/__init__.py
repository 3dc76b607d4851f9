"""Pictures of cats, lions, iguanas and empty scenes that the program draws itself: nothing to download."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.datasets import Drawn
from pipeline.data.examples import Examples, Pictures
from pipeline.data.synthetic_images.scenes import draw_scene
from pipeline.data.synthetic_images.subjects import SUBJECTS, generator, scene, targets
from pipeline.runtime.array_cache import keep, kept
from pipeline.runtime.progress_bars import watched

VERSION = 2  # a change to how anything is drawn needs a new number, or old pictures come from the cache
NOTE = "drawn pictures; for photographs: dataset=folder dataset.root=..."
CHUNK = 50
WORTH_PROCESSES = 400  # starting Python again takes longer than drawing fewer pictures
Pixels = NDArray[np.uint8]


def load(dataset: Drawn, cache: Path) -> Examples:
    """The pictures with their targets; drawn once, and kept in `cache`.

    Picture i depends on the seed, the subject, the size and i alone, so a larger count begins with the same pictures.
    """
    asked = SUBJECTS[dataset.subject]
    file = cache / f"drawn-{_key(dataset)}.npy"
    shape = (dataset.count, 3, dataset.size, dataset.size)
    pixels = kept(file)
    if pixels is None or pixels.shape != shape:
        pixels = keep(file, shape, np.uint8, _chunks(dataset, _processors()))
    known = targets(dataset.seed, dataset.subject, dataset.count)
    return Examples(
        inputs=Pictures(pixels),
        targets=known,
        kind=asked.kind,
        names=tuple(f"drawn {row:04d} {_said(asked.classes, target)}" for row, target in enumerate(known)),
        groups=np.arange(dataset.count),
        test=np.zeros(dataset.count, dtype=np.bool_),
        classes=asked.classes,
        drawn=True,
        notes=(NOTE,),
    ).with_fingerprint()


def draw_all(dataset: Drawn, processes: int) -> Iterator[Pixels]:
    """uint8 [n, 3, size, size] after another, the same whatever the number of processes."""
    starts = range(0, dataset.count, CHUNK)
    if processes < 2:
        yield from (_draw_chunk(dataset, start) for start in starts)
        return
    done = 0
    try:
        # not fork: the caller may hold threads and locks, of torch for one
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            for chunk in pool.map(_draw_chunk, [dataset] * len(starts), starts):
                yield chunk
                done += 1
    except BrokenProcessPool:  # no process can start where the program came from standard input
        yield from (_draw_chunk(dataset, start) for start in starts[done:])


def _draw_chunk(dataset: Drawn, start: int) -> Pixels:
    rows = range(start, min(start + CHUNK, dataset.count))
    seed, subject = dataset.seed, dataset.subject
    drawn = [draw_scene(scene(seed, subject, row)[0], dataset.size, generator(seed, subject, row)) for row in rows]
    return np.stack(drawn)


def _processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _key(dataset: Drawn) -> str:
    """A name for exactly these pictures."""
    words = f"{VERSION} {dataset.subject} {dataset.count} {dataset.size} {dataset.seed}"
    return hashlib.sha256(words.encode()).hexdigest()[:24]


def _said(classes: tuple[str, ...], target: np.int64 | np.float32 | NDArray[np.float32]) -> str:
    """A target in words: the class, the labels that are 1, or years."""
    if not classes:
        return f"{float(target):.1f} years"
    if isinstance(target, np.ndarray):
        return "+".join(name for name, there in zip(classes, target, strict=True) if there) or "nothing"
    return classes[int(target)]


def _chunks(dataset: Drawn, processes: int) -> Iterator[Pixels]:
    """All pictures, with a bar where someone is looking."""
    few = dataset.count < WORTH_PROCESSES
    return watched(draw_all(dataset, 1 if few else processes), "drawing pictures", dataset.count, len)
