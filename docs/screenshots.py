"""Take screenshots of MLflow's pages for the README: `python docs/screenshots.py mlruns`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.tracking import links
from tests.browser import chromium

PORT = "5899"
VIEWPORT = {"width": 1280, "height": 860}  # pixels
SETTINGS = """
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');
localStorage.setItem('mlflow.workflowType_v1', '"machine_learning"');
"""


def trials(page: Page, tasks: str) -> None:
    """Open all trials of a task, the best first."""
    page.goto(tasks.replace("searches", "trials"))
    page.get_by_role("link", name="trial 0").wait_for()


def study(page: Page, tasks: str) -> None:
    """Open the page of the newest study."""
    page.goto(tasks)
    page.locator(".ag-pinned-left-cols-container a, .ag-row a").first.click()
    page.get_by_text("Show more", exact=True).click()


def curve(page: Page, tasks: str) -> None:
    """Open the curves of the best trial."""
    trials(page, tasks)
    page.get_by_role("link", name=re.compile(r"^trial \d")).first.click()
    page.get_by_role("tab", name="Model metrics").click()
    page.locator(".js-plotly-plot").first.wait_for()


def model(page: Page, tasks: str) -> None:
    """Open the card of the registered model."""
    page.goto(tasks.partition("#")[0] + "#/models/cat_species")
    page.get_by_text("Intended use.").wait_for()


REPORT_PARTS = """
main > :not(.lede, .tiles, .figures), .figures > :not(#size, #more_data) { display: none; }
"""
VIEWS: dict[str, Callable[[Page, str], None]] = {
    "study": study,
    "trials": trials,
    "curve": curve,
    "model": model,
}


def main(store: str) -> None:
    """Write docs/mlflow_<view>.png and docs/report.png of a store that has a search of cat_species."""
    command = [sys.executable, "-m", "pipeline.ui", f"store={store}", f"port={PORT}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, chromium() as browser:
        try:
            assert server.stdout is not None
            tasks = links.fetch_experiment_links(server.stdout.readline().split()[0])["cat_species"]
            for name, view in VIEWS.items():
                _take(browser, name, view, tasks)
            _take_report(browser, max(Path(store).resolve().glob("studies/cat_species-*/report/report.html")))
        finally:
            server.terminate()


def _take(browser: Browser, name: str, view: Callable[[Page, str], None], tasks: str) -> None:
    visit = browser.new_context(viewport=VIEWPORT, reduced_motion="reduce")
    visit.add_init_script(SETTINGS)
    page = visit.new_page()
    view(page, tasks)
    page.wait_for_timeout(3_000)  # milliseconds, for the charts
    page.screenshot(path=Path(__file__).parent / f"mlflow_{name}.png")
    visit.close()


def _take_report(browser: Browser, file: Path) -> None:
    """Take the winner, the score against size and the learning curve of a report."""
    page = browser.new_page(viewport=VIEWPORT)
    page.goto(file.as_uri())
    page.add_style_tag(content=REPORT_PARTS)
    page.wait_for_timeout(3_000)  # milliseconds, for the charts
    page.screenshot(path=Path(__file__).parent / "report.png", full_page=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
