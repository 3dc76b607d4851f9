"""What a person sees in MLflow after two real searches, in a real browser at the real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from pipeline.tracking.server import DEFAULT_HOST
from tests.browser import chromium, collect_errors
from tests.conftest import TINY, search
from tests.data.test_data import picture
from tests.test_ui import running

HOSTILE = ("<img src=x onerror=alert(1)>", "**a** | [b](c) `d`")
COLUMNS = ("score", "standard_error", "model.layers", "model.nodes", "parameters", "seconds", "state")
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30_000  # milliseconds: the machine may be busy


@dataclass(frozen=True)
class Shown:
    """A server, where it says that each task is, and the studies that it shows by their task."""

    address: str
    tasks: dict[str, str]
    studies: dict[str, Path]

    def summary(self, task: str) -> dict:
        return json.loads((self.studies[task] / "summary.json").read_text())


def searched(store: Path) -> dict[str, Path]:
    """Three small searches, of which one has classes whose names are Markdown and HTML."""
    for number in range(24):
        picture(store / "pictures" / HOSTILE[number % 2] / f"{number}.png", number)
    folder = ["dataset=folder", f"dataset.root={store / 'pictures'}", "dataset.size=8"]
    small = ["budget.trials=3", "compute=cpu"]
    return {
        "cat_species": search(store, "task=cat_species", *TINY, "dataset.count=120", *small, report=True),
        "house_price": search(
            store, "task=house_price", "dataset.count=120", "training.epochs=4", "cv.folds=3", *small, report=True
        ),
        "day_night": search(
            store, "task=day_night", *folder, "training.epochs=1", "cv.folds=3", "budget.trials=1", report=True
        ),
    }


@pytest.fixture(scope="module")
def shown(empty_database: Path) -> Iterator[Shown]:
    with TemporaryDirectory(prefix="looked at ") as folder:  # a short path: a page shows the command with it
        yield from served(Path(folder), empty_database)


def served(store: Path, empty_database: Path) -> Iterator[Shown]:
    shutil.copy(empty_database, store / "mlflow.db")
    studies = searched(store)
    with socket.socket() as probe:
        probe.bind((DEFAULT_HOST, 0))
        port = int(probe.getsockname()[1])
    with running(store, port) as server:
        assert server.stdout is not None
        lines = [server.stdout.readline().strip() for _ in range(2 + len(studies))]
        yield Shown(f"http://{DEFAULT_HOST}:{port}", dict(line.split(": ", 1) for line in lines[2:]), studies)
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new visitor's page; whatever it complains of fails the test."""
    visit = browser.new_context(viewport={"width": 1800, "height": 1000})
    page = visit.new_page()
    page.set_default_timeout(PATIENCE)
    said = collect_errors(page)
    yield page
    visit.close()
    assert said == []


def open_study(page: Page, shown: Shown, task: str) -> None:
    """From the address that the command says to the page of the task's study."""
    page.goto(shown.tasks[task])
    page.get_by_role("link", name=shown.studies[task].name).click()
    page.get_by_text("Show more", exact=True).click()


def said(page: Page) -> str:
    """The page's whole text, in one line."""
    return re.sub(r"\s+", " ", page.inner_text("body"))


def test_tasks_are_listed_with_what_they_ask(page: Page, shown: Shown) -> None:
    page.goto(f"{shown.address}/#/experiments?workflowType=machine_learning")
    for task, question in (("cat_species", "Which breed is it?"), ("house_price", "What will the house sell for?")):
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=task, exact=True))
        expect(row).to_contain_text(question, timeout=PATIENCE)


@pytest.mark.parametrize("task", ["cat_species", "house_price"])
def test_study_is_found_by_its_task_with_its_trials_in_a_tree(page: Page, shown: Shown, task: str) -> None:
    page.goto(shown.tasks[task])
    winner = f"trial {shown.summary(task)['best']['number']}, "
    expect(page.get_by_role("gridcell").filter(has_text=winner)).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Close").click()  # of MLflow's assistant, which a new visitor meets
    for column in COLUMNS:
        expect(page.get_by_role("columnheader", name=column, exact=True).first).to_be_visible()
    expect(page.get_by_role("link", name="trial 0: 1 x 64 relu")).to_have_count(0)
    page.locator(".ag-row button").first.click()
    expect(page.get_by_role("link", name="trial 0: 1 x 64 relu")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile(r"^trial \d"))).to_have_count(3)


@pytest.mark.parametrize("task", ["cat_species", "house_price"])
def test_study_page_tells_winner_score_interval_gain_size_and_command(page: Page, shown: Shown, task: str) -> None:
    open_study(page, shown, task)
    summary, text = shown.summary(task), said(page)
    assert f"Trial {summary['best']['number']} won: " in text
    assert f"{summary['parameters']:,} parameters" in text
    assert "95 % interval " in text
    assert "Gain over the baseline's " in text or "It is the baseline itself" in text
    example = "photo.jpg" if task == "cat_species" else "rows.csv"
    assert f"model={shown.studies[task]}/model'" in text or f"model={shown.studies[task]}/model {example}" in text
    assert "space=none" in text
    assert "constant baseline" in text
    assert "held out" in text


@pytest.mark.parametrize("task", ["cat_species", "house_price"])
def test_command_is_seen_without_a_click(page: Page, shown: Shown, task: str) -> None:
    page.set_viewport_size({"width": 1400, "height": 900})
    page.goto(shown.tasks[task])
    page.get_by_role("link", name=shown.studies[task].name).click()
    more, command = page.get_by_text("Show more", exact=True), page.locator("code", has_text="pipeline.predict").first
    expect(more).to_be_visible()
    shown_until, place = more.bounding_box(), command.bounding_box()
    assert shown_until is not None
    assert place is not None
    assert place["y"] + place["height"] <= shown_until["y"]  # all of it, though the store's folder is long here


def test_learning_curve_of_a_trial_is_drawn(page: Page, shown: Shown) -> None:
    open_study(page, shown, "cat_species")
    page.get_by_role("link", name="trial 0: 1 x 64 relu").click()
    page.get_by_role("tab", name="Model metrics").click()
    chart = page.get_by_test_id("experiment-view-compare-runs-card").filter(has_text="(fold/0/accuracy)")
    expect(chart).to_be_visible()
    expect(chart.locator(".scatterlayer path.js-line").first).to_be_attached()
    expect(chart.locator(".scatterlayer .trace").first.locator("path.point")).to_have_count(3)  # epochs


def test_model_files_are_there(page: Page, shown: Shown) -> None:
    open_study(page, shown, "cat_species")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("model", exact=True).click()
    page.get_by_text("architecture.json", exact=True).click()
    expect(page.get_by_text('"hidden"').first).to_be_visible()
    expect(page.get_by_text("parameters.safetensors", exact=True)).to_be_visible()


@pytest.mark.parametrize("task", ["cat_species", "house_price"])
def test_each_figure_is_shown(page: Page, shown: Shown, task: str) -> None:
    open_study(page, shown, task)
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("report", exact=True).click()
    page.get_by_text("figures", exact=True).click()
    files = sorted((shown.studies[task] / "report" / "figures").iterdir())
    assert len(files) >= 8
    picture, before = page.locator("img[src^=blob], img[src*=artifact]").first, ""
    for file in files:
        page.get_by_text(file.name, exact=True).click()
        expect(picture).not_to_have_attribute("src", before)
        size = picture.evaluate("image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])")
        with Image.open(file) as drawn:
            assert tuple(size) == drawn.size
        before = picture.get_attribute("src") or ""


@pytest.mark.parametrize("task", ["cat_species", "house_price"])
def test_registered_model_has_a_card_and_its_alias(page: Page, shown: Shown, task: str) -> None:
    page.goto(f"{shown.address}/#/models/{task}")
    expect(page.get_by_text("Intended use.")).to_be_visible()
    text = said(page)
    for part in ("Data.", "Scores.", "Limitations.", "Use.", "95 % interval", "a demonstration", "@ champion"):
        assert part in text


def test_names_of_classes_are_shown_and_do_nothing(page: Page, shown: Shown) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    open_study(page, shown, "day_night")
    text = said(page)
    assert all(name in text for name in HOSTILE)
    page.goto(f"{shown.address}/#/models/day_night")
    expect(page.get_by_text("Intended use.")).to_be_visible()
    assert all(name in said(page) for name in HOSTILE)
    assert page.locator("img[src=x]").count() == 0
    assert asked == []


@pytest.mark.parametrize(("ci", "ending"), [("true", "1 error"), ("", "1 skipped")])
def test_without_chromium_tests_are_left_out_with_the_reason_but_fail_in_ci(
    tmp_path: Path, ci: str, ending: str
) -> None:
    (tmp_path / "test_page.py").write_text(
        "import pytest\nfrom tests.browser import chromium\n\n\n"
        "@pytest.fixture\ndef browser():\n    with chromium() as found:\n        yield found\n\n\n"
        "def test_page(browser):\n    pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-rs", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    around = os.environ | {"PATH": str(tmp_path), "CI": ci}
    done = subprocess.run([*command, str(tmp_path)], env=around, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ending in done.stdout
    assert "Chromium is not installed; make browser installs it" in done.stdout
