"""Where a running MLflow server shows the searches of each task: said, and opened in a browser."""

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

MAX_EXPERIMENTS = 20  # tasks
DISPLAY_VARIABLES = {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"}  # without one, a browser would be one in this terminal


def print_experiment_links(server_url: str, all_experiments_url: str, *, open_browser: bool) -> None:
    """Prints the page of each task's searches, the last searched first; opened: that one also in the browser."""
    urls_by_task: dict[str, str] = {}
    with suppress(OSError, ValueError):  # the page of all of them is known without
        urls_by_task = fetch_experiment_links(server_url)
    for task, url in urls_by_task.items():
        print(f"{task}: {url}", flush=True)
    if open_browser:  # some browsers return when they are closed
        threading.Thread(
            target=_open_in_browser, args=(next(iter(urls_by_task.values()), all_experiments_url),), daemon=True
        ).start()


def fetch_experiment_links(server_url: str) -> dict[str, str]:
    """The page of each task's searches by its name.

    Each says that it is about training: MLflow's pages are for language models otherwise. Raises OSError where the
    server does not answer.
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
    """On a terminal: a name that another program gave may hold anything."""
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
