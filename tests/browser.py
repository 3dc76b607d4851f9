"""A real Chromium without a window, for the tests that look at pages, and what its console complains of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
NOT_OURS = (
    "/mlflow/users/current",  # MLflow asks who it is talking to, also where nobody can log in
    "ResizeObserver loop completed with undelivered notifications",  # a chart that was drawn again
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser of this machine, never one that Playwright downloads; without one the test is left out, or fails."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        missing = "Chromium is not installed; make browser installs it"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def complaints(page: Page) -> list[str]:
    """The errors of a page's console and programs, as they come, but for those of MLflow's own."""
    found: list[str] = []

    def note(text: str) -> None:
        if not any(known in text for known in NOT_OURS):
            found.append(text)

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error":
            note(f"{message.text} ({message.location.get('url')})")

    page.on("console", listen)
    page.on("pageerror", lambda error: note(str(error)))
    return found
