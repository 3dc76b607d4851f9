"""Generate synthetic images of cats, lions, iguanas and empty scenes."""

import hashlib
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.datasets import SyntheticImages, TargetKind
from pipeline.data.examples import Examples, Images
from pipeline.data.synthetic_images.scenes import draw_scene
from pipeline.data.synthetic_images.subjects import SUBJECTS, make_rng, make_scene, make_targets
from pipeline.runtime.array_cache import load_cached, store_cached
from pipeline.runtime.parallel import available_cores
from pipeline.runtime.progress_bars import track

DRAWING_VERSION = 2  # a change to how anything is drawn needs a new number, or old images come from the cache
CHUNK_SIZE = 50
MIN_IMAGES_FOR_PROCESSES = 400  # starting Python again takes longer than drawing fewer images
PixelBatch = NDArray[np.uint8]


def load_synthetic_images(dataset: SyntheticImages, _target_kind: TargetKind, cache: Path) -> Examples:
    """Load the images with their targets from `cache`, or draw and cache them.

    Image i depends on the seed, the subject, the size and i alone, so a larger count begins with the same images.
    """
    classes = SUBJECTS[dataset.subject].classes
    settings = f"{DRAWING_VERSION} {dataset.subject} {dataset.count} {dataset.size} {dataset.seed}"
    file = cache / f"drawn-{hashlib.sha256(settings.encode()).hexdigest()[:24]}.npy"
    shape = (dataset.count, 3, dataset.size, dataset.size)
    pixels = load_cached(file)
    if pixels is None or pixels.shape != shape:
        processes = 1 if dataset.count < MIN_IMAGES_FOR_PROCESSES else len(available_cores())
        chunks = track(draw_images(dataset, processes), "drawing images", dataset.count, len)
        pixels = store_cached(file, shape, np.uint8, chunks)
    targets = make_targets(dataset.seed, dataset.subject, dataset.count)
    return Examples(
        inputs=Images(pixels),
        targets=targets,
        target_kind=dataset.target_kinds[0],
        names=tuple(f"drawn {row:04d} {_format_target(classes, target)}" for row, target in enumerate(targets)),
        groups=np.arange(dataset.count),
        test_mask=np.zeros(dataset.count, dtype=np.bool_),
        classes=classes,
        is_synthetic=True,
        notes=("synthetic images; for your own: dataset=folder dataset.root=...",),
    ).with_fingerprint()


def draw_images(dataset: SyntheticImages, processes: int) -> Iterator[PixelBatch]:
    """Yield batches uint8 [n, 3, size, size]; the number of processes does not change them."""
    starts = range(0, dataset.count, CHUNK_SIZE)
    if processes < 2:
        yield from (_draw_chunk(dataset, start) for start in starts)
        return
    chunks_done = 0
    try:
        # not fork: the caller may hold threads and locks, of torch for one
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            for chunk in pool.map(_draw_chunk, [dataset] * len(starts), starts):
                yield chunk
                chunks_done += 1
    except BrokenProcessPool:  # no process can start where the program came from standard input
        yield from (_draw_chunk(dataset, start) for start in starts[chunks_done:])


def _draw_chunk(dataset: SyntheticImages, start: int) -> PixelBatch:
    images = []
    for row in range(start, min(start + CHUNK_SIZE, dataset.count)):
        scene, _ = make_scene(dataset.seed, dataset.subject, row)
        images.append(draw_scene(scene, dataset.size, make_rng(dataset.seed, dataset.subject, row)))
    return np.stack(images)


def _format_target(classes: tuple[str, ...], target: np.int64 | np.float32 | NDArray[np.float32]) -> str:
    """Format a target: the class, the positive labels, or years."""
    if not classes:
        return f"{float(target):.1f} years"
    if isinstance(target, np.ndarray):
        return "+".join(name for name, is_shown in zip(classes, target, strict=True) if is_shown) or "nothing"
    return classes[int(target)]
