"""Format the commands that a user may run after a search."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from pipeline.config.schema import Search
from pipeline.runtime.text import join_names

MAX_LISTED_COLUMNS = 24


def search_command_parts(search: Search) -> tuple[list[str], list[str]]:
    """Return the arguments of a search before and after the overrides that determine its result."""
    config_dir = [] if search.config_dir is None else ["--config-dir", str(search.config_dir)]
    return ["python", "-m", "pipeline.search", *config_dir], _store_argument(search)


def format_rerun_command(search: Search, overrides: Sequence[str]) -> str:
    """Return the command that runs one trial."""
    before, after = search_command_parts(search)
    return shlex.join([*before, *overrides, *after])


def format_ui_command(search: Search) -> str:
    """Return the command that starts the UI."""
    return shlex.join(["python", "-m", "pipeline.ui", *_store_argument(search)])


def format_predict_command(search: Search, folder: Path, *, is_table: bool) -> str:
    """Return the command that predicts with the model of the study in a folder, for a table or for an image."""
    weights = [] if search.backbone.weights is None else [f"weights={search.backbone.weights}"]
    example = "rows.csv" if is_table else "photo.jpg"
    return shlex.join(["python", "-m", "pipeline.predict", f"model={folder}/model", *weights, example])


def describe_required_columns(names: Sequence[str]) -> str:
    """Return one line with the columns that a table for predictions must have; "" for images (no names)."""
    more = f" and {len(names) - MAX_LISTED_COLUMNS} more" if len(names) > MAX_LISTED_COLUMNS else ""
    return f"rows.csv: a table with the columns {join_names(names[:MAX_LISTED_COLUMNS])}{more}" if names else ""


def format_sync_command(search: Search, study: str) -> str:
    """Return the command that completes a study in MLflow."""
    return shlex.join(["python", "-m", "pipeline.sync", f"study={study}", *_store_argument(search)])


def _store_argument(search: Search) -> list[str]:
    return [] if str(search.store) == "mlruns" else [f"store={search.store}"]
