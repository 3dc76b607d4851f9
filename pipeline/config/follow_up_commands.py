"""What a person may type once a search has ended: commands that run as they are."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from pipeline.config.schema import Search
from pipeline.runtime.text import join_names

MAX_LISTED_COLUMNS = 24


def search_command_parts(search: Search) -> tuple[list[str], list[str]]:
    """The words of a search before and after those that decide its result."""
    config_dir_arguments = [] if search.config_dir is None else ["--config-dir", str(search.config_dir)]
    return ["python", "-m", "pipeline.search", *config_dir_arguments], _store_argument(search)


def format_rerun_command(search: Search, overrides: Sequence[str]) -> str:
    """One trial, run as it is."""
    before, after = search_command_parts(search)
    return shlex.join([*before, *overrides, *after])


def format_ui_command(search: Search) -> str:
    """The pages of the store."""
    return shlex.join(["python", "-m", "pipeline.ui", *_store_argument(search)])


def format_predict_command(search: Search, folder: Path, *, is_table: bool) -> str:
    """An answer of the winner of the study in a folder; table: about a row, not a picture."""
    weights = [] if search.backbone.weights is None else [f"weights={search.backbone.weights}"]
    example = "rows.csv" if is_table else "photo.jpg"
    return shlex.join(["python", "-m", "pipeline.predict", f"model={folder}/model", *weights, example])


def describe_required_columns(names: Sequence[str]) -> str:
    """What a table must have so that a model can answer for its rows; nothing where a model answers for pictures."""
    more = f" and {len(names) - MAX_LISTED_COLUMNS} more" if len(names) > MAX_LISTED_COLUMNS else ""
    return f"rows.csv: a table with the columns {join_names(names[:MAX_LISTED_COLUMNS])}{more}" if names else ""


def format_sync_command(search: Search, study: str) -> str:
    """What MLflow lacks of a study."""
    return shlex.join(["python", "-m", "pipeline.sync", f"study={study}", *_store_argument(search)])


def _store_argument(search: Search) -> list[str]:
    """The word that other commands need to find the store."""
    return [] if str(search.store) == "mlruns" else [f"store={search.store}"]
