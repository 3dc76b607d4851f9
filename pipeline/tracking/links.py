"""Links to the searches of each task on a running MLflow server."""

import json
import os
import sys
import threading
import webbrowser
from contextlib import suppress
from urllib.request import ProxyHandler, build_opener

from pipeline.runtime.text import escape_unprintable
from pipeline.tracking.compat import SHARED_VIEW_TAG_PREFIX
from pipeline.tracking.ui_views import SEARCHES_VIEW, format_experiment_link

MAX_EXPERIMENTS = 20
# Without one of these, `webbrowser` would open a text browser in this terminal.
DISPLAY_VARIABLES = {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"}


def print_experiment_links(server_url: str, all_experiments_url: str, *, open_browser: bool) -> None:
    """Print a link for each task, the last searched first, and open that one if `open_browser`."""
    urls_by_task: dict[str, str] = {}
    with suppress(OSError, ValueError):  # the link to all searches needs no request
        urls_by_task = fetch_experiment_links(server_url)
    for task, url in urls_by_task.items():
        print(f"{task}: {url}", flush=True)
    if open_browser:
        first_url = next(iter(urls_by_task.values()), all_experiments_url)
        # In a thread, since the command of some browsers returns when the browser is closed.
        threading.Thread(target=_open_in_browser, args=(first_url,), daemon=True).start()


def fetch_experiment_links(server_url: str) -> dict[str, str]:
    """Return the link to the searches of each task by its name; raise OSError if the server does not respond.

    Each link selects the workflow of machine learning: MLflow opens its pages for language models otherwise.
    """
    path = f"/api/2.0/mlflow/experiments/search?max_results={MAX_EXPERIMENTS}&order_by=last_update_time%20DESC"
    with build_opener(ProxyHandler({})).open(server_url + path, timeout=30) as response:
        experiments = json.load(response).get("experiments", [])
    urls: dict[str, str] = {}
    for experiment in experiments:
        if experiment["name"] != "Default":
            tags = {tag["key"] for tag in experiment.get("tags", [])}
            view = SEARCHES_VIEW if SHARED_VIEW_TAG_PREFIX + SEARCHES_VIEW in tags else None
            link = format_experiment_link(experiment["experiment_id"], view)
            urls[escape_unprintable(experiment["name"])] = f"{server_url}/{link}"
    return urls


def _open_in_browser(url: str) -> None:
    has_display = sys.platform != "linux" or DISPLAY_VARIABLES & set(os.environ)
    if not (has_display and webbrowser.open(url)):
        print(f"open: no browser was found here; the address is {url}", file=sys.stderr, flush=True)
