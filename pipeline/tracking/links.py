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

MOST = 20  # tasks
SCREEN = {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"}  # without one, a browser would be one in this terminal


def show(server: str, everything: str, *, opened: bool) -> None:
    """Prints the page of each task's searches, the last searched first; opened: that one also in the browser."""
    tasks: dict[str, str] = {}
    with suppress(OSError, ValueError):  # the page of all of them is known without
        tasks = searches(server)
    for task, page in tasks.items():
        print(f"{task}: {page}", flush=True)
    if opened:  # some browsers return when they are closed
        threading.Thread(target=_open, args=(next(iter(tasks.values()), everything),), daemon=True).start()


def searches(server: str) -> dict[str, str]:
    """The page of each task's searches by its name.

    Each says that it is about training: MLflow's pages are for language models otherwise. Raises OSError where the
    server does not answer.
    """
    path = f"/api/2.0/mlflow/experiments/search?max_results={MOST}&order_by=last_update_time%20DESC"
    with build_opener(ProxyHandler({})).open(server + path, timeout=30) as answer:
        found = json.load(answer).get("experiments", [])
    return {_name(each): f"{server}/{_page(each)}" for each in found if each["name"] != "Default"}


def _name(experiment: Mapping[str, Any]) -> str:
    """On a terminal: a name that another program gave may hold anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in experiment["name"])


def _page(experiment: Mapping[str, Any]) -> str:
    tags = {tag["key"] for tag in experiment.get("tags", [])}
    return ui_views.link(
        experiment["experiment_id"], ui_views.SEARCHES if ui_views.PREFIX + ui_views.SEARCHES in tags else None
    )


def _open(page: str) -> None:
    screen = sys.platform != "linux" or SCREEN & set(os.environ)
    if not (screen and webbrowser.open(page)):
        print(f"open: no browser was found here; the address is {page}", file=sys.stderr, flush=True)
