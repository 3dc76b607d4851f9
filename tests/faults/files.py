"""Kills at every write, changed bytes, and files from strangers."""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from mlflow import MlflowClient
from PIL import Image

from pipeline import data, sync
from pipeline.config.datasets import ImageFolder
from pipeline.tracking.client import MODEL_ARTIFACTS_FOLDER, store_uri
from tests.crash import KILLED_EXIT_CODE, StepKiller
from tests.data.untrusted_images import HOSTILE, make_all
from tests.faults.process import TINY, Forked, same_table, study, synced, whole
from tests.faults.row import Measured, Row

WORDS = ("task=cat_species", *TINY, "budget.trials=2")


def every_write(count: int, folder: Path) -> Measured:
    """Killed at the n-th thing that it writes, for every n (of `count` times as many none), then the same again."""
    expected = whole(WORDS, folder / "whole")
    odd, killed = [], 0
    for step in itertools.count(1, count):
        store = folder / str(step)
        store.mkdir()
        words = [*WORDS, f"store={store}"]
        code = Forked(words, folder / "said.txt", before=lambda step=step: StepKiller(step), report=True).wait()  # type: ignore[misc]
        if code == 0:
            break
        killed += code == KILLED_EXIT_CODE
        again = Forked(words, folder / "said.txt", report=True).wait()
        if (
            code != KILLED_EXIT_CODE
            or again != 0
            or not same_table(study(store), expected)
            or (wrong := synced(study(store)))
        ):
            odd.append(f"step {step}: exit {code}, then {again}; {wrong if again == 0 else ''}")
        shutil.rmtree(store, ignore_errors=True)
    return Measured(f"killed at {killed} of {step - 1} writes, {len(odd)} wrong {odd[:3]}", not odd and killed > 3)


def registering(count: int, folder: Path) -> Measured:
    """The process that writes MLflow is killed at random moments; then it is called again."""
    finished, chance, odd = whole(WORDS, folder / "whole"), random.Random(count), []
    for turn in range(count):
        store = folder / str(turn)
        shutil.copytree(finished.parent, store / "studies")
        pid = os.fork()
        if pid == 0:
            sync.main([f"store={store}"])
            os._exit(0)
        time.sleep(chance.uniform(0.0, 2.5))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        wrong = synced(study(store))
        versions = MlflowClient(store_uri(store)).search_model_versions("name = 'cat_species'")
        champion = MlflowClient(store_uri(store)).get_model_version_by_alias("cat_species", "champion")
        kept = Path(champion.source, MODEL_ARTIFACTS_FOLDER)
        same = all((kept / file.name).read_bytes() == file.read_bytes() for file in (study(store) / "model").iterdir())
        if wrong or len(versions) != 1 or not same:
            odd.append(f"{wrong}, {len(versions)} versions, the two files: {same}")
        shutil.rmtree(store, ignore_errors=True)
    return Measured(f"{count} kills, {len(odd)} wrong {odd[:3]}", not odd)


def pictures(count: int, folder: Path) -> Measured:
    """Every kind of bad file among good ones: all named at once; and how fast good ones are read."""
    for number in range(count):
        place = folder / "photos" / ("day" if number % 2 else "night")
        place.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((160, 160), 50 + number % 50).convert("RGB").save(place / f"{number}.jpg", quality=85)
    (folder / "photos" / ".ipynb_checkpoints").mkdir()
    words = ["task=day_night", "dataset=folder", f"dataset.root={folder}/photos", "cv.folds=3", "training.epochs=1"]
    words += ["budget.trials=1", "compute=cpu", f"store={folder}/store"]
    good = Forked(words, folder / "said.txt").wait()
    begin = time.monotonic()
    data.load_examples(ImageFolder("folder", folder / "photos", 48, False), "classes", folder / "cache")
    speed = count / (time.monotonic() - begin)
    names = make_all(folder / "photos" / "night")
    listed = Forked(words, folder / "said.txt").wait()
    said = (folder / "said.txt").read_text()
    there = [name for name in names if HOSTILE[name][1] in said]
    whole_list = f"{len(names)} of {count + len(names)} files cannot be read" in said and "Traceback" not in said
    figure = (
        f"exit {listed}, {len(there)} of {len(names)} kinds named, all at once: {whole_list}, {speed:,.0f} pictures/s"
    )
    reached = (good, listed) == (0, 2) and len(there) == len(names) and whole_list
    return Measured(figure, reached and (count < 500 or speed >= 500))


def by_the_tests(*words: str) -> Measured:
    """What the tests of strangers' files say, which watch for writes, sockets, child processes, time and memory."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1]
    return Measured(re.sub(r" in [\d.]+s.*", "", last), done.returncode == 0)


ROWS = [
    Row("F2", "kill at every n-th write", "every n passes", 1, 25, every_write),
    Row("F14", "bad pictures", "all named at once, none hangs, 500 pictures/s", 1_000, 20, pictures),
    Row("F20", "killed while registering", "both files or neither, one version", 40, 2, registering),
]
IN_THE_TESTS = [
    Row(
        "F17",
        "a byte changed, a file cut, a kill at each write of the two files",
        "1,000 of 1,000 caught; both or neither",
        1,
        0,
        lambda *_: by_the_tests(
            "tests/artifact/test_untrusted_files.py",
            "tests/artifact/test_model_files.py",
            "-k",
            "byte or killed or layout",
        ),
    ),
    Row(
        "hostile",
        "strangers' model files and pictures",
        "one line each, under 1 s and 300 MB, nothing written, run or opened",
        1,
        0,
        lambda *_: by_the_tests(
            "tests/artifact/test_untrusted_files.py",
            "tests/data/test_untrusted_images.py",
            "-k",
            "refused or watch or costs",
        ),
    ),
]
