"""What a person may type once a search has ended: commands that run as they are."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from pipeline.config.schema import Search
from pipeline.runtime.text import listed_names

MOST_COLUMNS = 24


def around(search: Search) -> tuple[list[str], list[str]]:
    """The words of a search before and after those that decide its result."""
    own = [] if search.config_dir is None else ["--config-dir", str(search.config_dir)]
    return ["python", "-m", "pipeline.search", *own], _store(search)


def again(search: Search, overrides: Sequence[str]) -> str:
    """One trial, run as it is."""
    before, after = around(search)
    return shlex.join([*before, *overrides, *after])


def browse(search: Search) -> str:
    """The pages of the store."""
    return shlex.join(["python", "-m", "pipeline.ui", *_store(search)])


def predict(search: Search, folder: Path, *, table: bool) -> str:
    """An answer of the winner of the study in a folder; table: about a row, not a picture."""
    weights = [] if search.backbone.weights is None else [f"weights={search.backbone.weights}"]
    example = "rows.csv" if table else "photo.jpg"
    return shlex.join(["python", "-m", "pipeline.predict", f"model={folder}/model", *weights, example])


def columns(names: Sequence[str]) -> str:
    """What a table must have so that a model can answer for its rows; nothing where a model answers for pictures."""
    more = f" and {len(names) - MOST_COLUMNS} more" if len(names) > MOST_COLUMNS else ""
    return f"rows.csv: a table with the columns {listed_names(names[:MOST_COLUMNS])}{more}" if names else ""


def sync(search: Search, study: str) -> str:
    """What MLflow lacks of a study."""
    return shlex.join(["python", "-m", "pipeline.sync", f"study={study}", *_store(search)])


def _store(search: Search) -> list[str]:
    """The word that other commands need to find the store."""
    return [] if str(search.store) == "mlruns" else [f"store={search.store}"]
