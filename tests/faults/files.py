"""Kill processes at every write, change bytes of model files, and read untrusted files."""

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
from functools import partial
from pathlib import Path

from mlflow import MlflowClient
from PIL import Image

from pipeline import data, sync
from pipeline.config.datasets import ImageFolder
from pipeline.tracking.client import MODEL_ARTIFACTS_FOLDER, store_uri
from tests.crash import KILLED_EXIT_CODE, StepKiller
from tests.data.untrusted_images import BAD_IMAGES, make_bad_images
from tests.faults.process import TINY, ForkedSearch, only_study, run_undisturbed, same_table, sync_and_check
from tests.faults.row import Measured, Row

ARGUMENTS = ("task=cat_species", *TINY, "budget.trials=2")


def kill_every_write(count: int, folder: Path) -> Measured:
    """Kill a search at its n-th write for every `count`-th n, then run it again; the results must be the same."""
    expected = run_undisturbed(ARGUMENTS, folder / "undisturbed")
    output = folder / "output.txt"
    failures = []
    killed = 0
    for step in itertools.count(1, count):
        store = folder / str(step)
        store.mkdir()
        arguments = [*ARGUMENTS, f"store={store}"]
        code = ForkedSearch(arguments, output, before=partial(StepKiller, step), report=True).wait()
        if code == 0:
            break
        killed += code == KILLED_EXIT_CODE
        second = ForkedSearch(arguments, output, report=True).wait()
        errors = sync_and_check(only_study(store)) if second == 0 else ""
        if code != KILLED_EXIT_CODE or second != 0 or errors or not same_table(only_study(store), expected):
            failures.append(f"step {step}: exit {code}, then {second}; {errors}")
        shutil.rmtree(store, ignore_errors=True)
    return Measured(
        f"killed at {killed} of {step - 1} writes, {len(failures)} failures {failures[:3]}", not failures and killed > 3
    )


def kill_registering(count: int, folder: Path) -> Measured:
    """Kill the process that writes to MLflow at random moments, then run it again."""
    finished = run_undisturbed(ARGUMENTS, folder / "undisturbed")
    rng = random.Random(count)
    failures = []
    for turn in range(count):
        store = folder / str(turn)
        shutil.copytree(finished.parent, store / "studies")
        pid = os.fork()
        if pid == 0:
            sync.main([f"store={store}"])
            os._exit(0)
        time.sleep(rng.uniform(0.0, 2.5))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        errors = sync_and_check(only_study(store))
        versions = MlflowClient(store_uri(store)).search_model_versions("name = 'cat_species'")
        champion = MlflowClient(store_uri(store)).get_model_version_by_alias("cat_species", "champion")
        registered = Path(champion.source, MODEL_ARTIFACTS_FOLDER)
        same = all(
            (registered / file.name).read_bytes() == file.read_bytes()
            for file in (only_study(store) / "model").iterdir()
        )
        if errors or len(versions) != 1 or not same:
            failures.append(f"{errors}, {len(versions)} versions, the two files: {same}")
        shutil.rmtree(store, ignore_errors=True)
    return Measured(f"{count} kills, {len(failures)} failures {failures[:3]}", not failures)


def bad_images(count: int, folder: Path) -> Measured:
    """Mix every kind of bad file into good images: all must be named at once; measure how fast good ones are read."""
    for number in range(count):
        class_folder = folder / "photos" / ("day" if number % 2 else "night")
        class_folder.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((160, 160), 50 + number % 50).convert("RGB").save(class_folder / f"{number}.jpg", quality=85)
    (folder / "photos" / ".ipynb_checkpoints").mkdir()
    arguments = ["task=day_night", "dataset=folder", f"dataset.root={folder}/photos", "cv.folds=3", "training.epochs=1"]
    arguments += ["budget.trials=1", "compute=cpu", f"store={folder}/store"]
    good = ForkedSearch(arguments, folder / "output.txt").wait()
    begin = time.monotonic()
    data.load_examples(ImageFolder("folder", folder / "photos", 48, False), "classes", folder / "cache")
    speed = count / (time.monotonic() - begin)
    names = make_bad_images(folder / "photos" / "night")
    bad = ForkedSearch(arguments, folder / "output.txt").wait()
    output = (folder / "output.txt").read_text()
    named = [name for name in names if BAD_IMAGES[name][1] in output]
    all_listed = f"{len(names)} of {count + len(names)} files cannot be read" in output and "Traceback" not in output
    figure = f"exit {bad}, {len(named)} of {len(names)} kinds named, all at once: {all_listed}, {speed:,.0f} images/s"
    reached = (good, bad) == (0, 2) and len(named) == len(names) and all_listed
    return Measured(figure, reached and (count < 500 or speed >= 500))


def run_tests(*arguments: str) -> Measured:
    """Run the tests of untrusted files, which watch for writes, sockets, child processes, time and memory."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    last = result.stdout.strip().splitlines()[-1]
    return Measured(re.sub(r" in [\d.]+s.*", "", last), result.returncode == 0)


ROWS = [
    Row("F2", "kill at every n-th write", "every n passes", 1, 25, kill_every_write),
    Row("F14", "bad images", "all named at once, none hangs, 500 images/s", 1_000, 20, bad_images),
    Row("F20", "killed while registering", "both files or neither, one version", 40, 2, kill_registering),
]
TEST_ROWS = [
    Row(
        "F17",
        "a byte changed, a file cut, a kill at each write of the two files",
        "1,000 of 1,000 caught; both or neither",
        1,
        0,
        lambda *_: run_tests(
            "tests/artifact/test_untrusted_files.py",
            "tests/artifact/test_model_files.py",
            "-k",
            "byte or killed or layout",
        ),
    ),
    Row(
        "untrusted",
        "malicious model files and images",
        "one line each, under 1 s and 300 MB, nothing written, run or opened",
        1,
        0,
        lambda *_: run_tests(
            "tests/artifact/test_untrusted_files.py",
            "tests/data/test_untrusted_images.py",
            "-k",
            "refused or watch or costs",
        ),
    ),
]
