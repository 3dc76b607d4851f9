"""Start a headless Chromium for the tests that load pages, and collect the errors of its console."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MLFLOW_ERRORS = (
    "/mlflow/users/current",  # MLflow requests the user, also where no login exists
    "ResizeObserver loop completed with undelivered notifications",  # a chart that MLflow's page redraws
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield this machine's browser, never one that Playwright downloads; without one skip the test, or fail in CI."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        missing = "Chromium is not installed; make browser installs it"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def collect_errors(page: Page) -> list[str]:
    """Return a list that fills with the errors of a page's console and scripts, except MLflow's own."""
    errors: list[str] = []

    def add(text: str) -> None:
        if not any(known in text for known in MLFLOW_ERRORS):
            errors.append(text)

    def on_message(message: ConsoleMessage) -> None:
        if message.type == "error":
            add(f"{message.text} ({message.location.get('url')})")

    page.on("console", on_message)
    page.on("pageerror", lambda error: add(str(error)))
    return errors
