"""Links to the searches of each task on a running MLflow server."""

from __future__ import annotations

import json
import os
import sys
import threading
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.request import ProxyHandler, build_opener

from pipeline.tracking import ui_views
from pipeline.tracking.compat import SHARED_VIEW_TAG_PREFIX

MAX_EXPERIMENTS = 20
DISPLAY_VARIABLES = {
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "BROWSER",
}  # without one of them, `webbrowser` would open a browser in this terminal


def print_experiment_links(server_url: str, all_experiments_url: str, *, open_browser: bool) -> None:
    """Print a link for each task, the last searched first; with `open_browser` open that one in the browser."""
    urls_by_task: dict[str, str] = {}
    with suppress(OSError, ValueError):  # the link to all searches needs no request
        urls_by_task = fetch_experiment_links(server_url)
    for task, url in urls_by_task.items():
        print(f"{task}: {url}", flush=True)
    if open_browser:  # some browsers return when they are closed
        threading.Thread(
            target=_open_in_browser, args=(next(iter(urls_by_task.values()), all_experiments_url),), daemon=True
        ).start()


def fetch_experiment_links(server_url: str) -> dict[str, str]:
    """Return the link to the searches of each task by its name; raise OSError if the server does not respond.

    Each link selects the workflow of machine learning: MLflow opens its pages for language models otherwise.
    """
    path = f"/api/2.0/mlflow/experiments/search?max_results={MAX_EXPERIMENTS}&order_by=last_update_time%20DESC"
    with build_opener(ProxyHandler({})).open(server_url + path, timeout=30) as response:
        experiments = json.load(response).get("experiments", [])
    return {
        _printable_name(each): f"{server_url}/{_format_search_view_link(each)}"
        for each in experiments
        if each["name"] != "Default"
    }


def _printable_name(experiment: Mapping[str, Any]) -> str:
    """Return the name for a terminal: another program may have written any character into it."""
    return "".join(letter if letter.isprintable() else "?" for letter in experiment["name"])


def _format_search_view_link(experiment: Mapping[str, Any]) -> str:
    tag_keys = {tag["key"] for tag in experiment.get("tags", [])}
    return ui_views.format_experiment_link(
        experiment["experiment_id"],
        ui_views.SEARCHES_VIEW if SHARED_VIEW_TAG_PREFIX + ui_views.SEARCHES_VIEW in tag_keys else None,
    )


def _open_in_browser(url: str) -> None:
    has_display = sys.platform != "linux" or DISPLAY_VARIABLES & set(os.environ)
    if not (has_display and webbrowser.open(url)):
        print(f"open: no browser was found here; the address is {url}", file=sys.stderr, flush=True)
