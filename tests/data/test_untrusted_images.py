"""A stranger's folder: every kind of bad file is named before training, quickly, with little memory, and no hang."""

import multiprocessing
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import data
from pipeline.config.datasets import ImageFolder
from pipeline.data.examples import DataError
from pipeline.data.images.decoded_cache import decode_images
from pipeline.runtime.text import escape_unprintable
from tests.conftest import search
from tests.data.untrusted_images import BAD_IMAGES, READABLE_BY_ALL, make_bad_images

SECONDS, KILOBYTES = 1, 300_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of good pictures, and one file of every bad kind among them."""
    for number in range(24):
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    make_bad_images(tmp_path / "photos" / "a")
    return tmp_path / "photos"


@pytest.fixture(scope="module")
def fresh() -> Iterator[ProcessPoolExecutor]:
    """Each call in a process of its own that has done nothing before, so that its memory can be told."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.artifact.test_untrusted_files"])
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        yield pool


def scanned(file: Path) -> tuple[str, float, int]:
    """What the scan says of a file; how many seconds and kilobytes that took."""
    peak, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    try:
        decode_images([file], file.parent, 64, file.parent / "cache", skip_bad=False)
        reason = "read"
    except DataError as error:
        reason = str(error)
    return reason, time.monotonic() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak


@pytest.mark.parametrize("name", BAD_IMAGES, ids=escape_unprintable)
def test_each_is_refused_within_a_second_and_300_megabytes(
    name: str, tmp_path: Path, fresh: ProcessPoolExecutor
) -> None:
    if name in READABLE_BY_ALL:
        pytest.skip("the administrator may read every file")
    maker, words = BAD_IMAGES[name]
    maker(tmp_path / name)
    reason, seconds, kilobytes = fresh.submit(scanned, tmp_path / name).result(timeout=30)
    assert f"{escape_unprintable(name)}: " in reason
    assert words in reason
    assert seconds < SECONDS
    assert kilobytes < KILOBYTES


def test_all_are_named_in_one_go_with_path_and_reason(root: Path, tmp_path: Path) -> None:
    bad = [name for name in BAD_IMAGES if name not in READABLE_BY_ALL]
    with pytest.raises(DataError) as refused:
        data.load_examples(ImageFolder("folder", root, 12, False), "classes", tmp_path / "cache")
    first, *lines, last = str(refused.value).splitlines()
    assert first == f"dataset: {len(bad)} of {len(bad) + 24} files cannot be read:"
    for name in bad:
        (line,) = [line for line in lines if line.startswith(f"  a/{escape_unprintable(name)}: ")]
        assert BAD_IMAGES[name][1] in line
    assert len(lines) == len(bad)
    assert all(line.isprintable() for line in lines)
    assert last == "fix or remove them, or go on without them: dataset.skip_bad=true"


def test_going_on_without_them_says_how_many(root: Path, tmp_path: Path) -> None:
    examples = data.load_examples(ImageFolder("folder", root, 12, True), "classes", tmp_path / "cache")
    assert len(examples) == 24
    assert examples.notes == (f"left out, since they cannot be read: {len(BAD_IMAGES) - len(READABLE_BY_ALL)} files",)


def test_class_of_bad_pictures_alone_is_an_error_though_they_are_skipped(root: Path, tmp_path: Path) -> None:
    make_bad_images(root / "hostile")
    with pytest.raises(DataError, match="no training image can be read of class hostile; fix or remove the class"):
        data.load_examples(ImageFolder("folder", root, 12, True), "classes", tmp_path / "cache")


def command(*words: str, store: Path) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "pipeline.search", "task=day_night", *words, f"store={store}"]
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120)


def test_command_lists_them_and_ends_with_2_or_goes_on_without_them(
    root: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["dataset=folder", f"dataset.root={root}", "dataset.size=8", "cv.folds=2", "compute=cpu"]
    refused = command(*words, store=store)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Traceback" not in refused.stderr
    assert len(refused.stderr.splitlines()) == len(BAD_IMAGES) - len(READABLE_BY_ALL) + 2
    assert "\x1b" not in refused.stderr
    search(store, "task=day_night", *words, "dataset.skip_bad=true", "budget.trials=2", "training.epochs=2")
    printed = capsys.readouterr().out
    assert f"left out, since they cannot be read: {len(BAD_IMAGES) - len(READABLE_BY_ALL)} files" in printed
    assert "winner" in printed
