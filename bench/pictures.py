"""Measure how many images a second are scanned and decoded: `python -m bench.pictures <folder> [rounds]`."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.images.decoded_cache import decode_images
from pipeline.data.images.discovery import expand_folders

SIZE = 64


def main(arguments: Sequence[str]) -> int:
    """List, decode and cache the images of the folder once a round, each time with an empty cache."""
    root = Path(arguments[0])
    rounds = int(arguments[1]) if len(arguments) > 1 else 3
    speeds = [_decode_once(root) for _ in range(rounds)]
    spread = f"lowest to highest {min(speeds):,.0f} to {max(speeds):,.0f}"
    print(f"{len(expand_folders([root])):,} images: median {statistics.median(speeds):,.0f} a second, {spread}")
    return 0


def _decode_once(root: Path) -> float:
    with tempfile.TemporaryDirectory() as cache:
        begin = time.perf_counter()
        paths = expand_folders([root])
        decode_images(paths, root, SIZE, Path(cache), skip_bad=True)
        return len(paths) / (time.perf_counter() - begin)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
