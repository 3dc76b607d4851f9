"""Check the columns of a table; each mistake becomes a message that says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from pipeline.config.datasets import TableFile
from pipeline.data.sources.table_dates import find_date_mistake, find_date_shares
from pipeline.data.sources.table_files import is_numeric_column, to_float32
from pipeline.runtime.suggestions import did_you_mean
from pipeline.runtime.text import MAX_NAME_CHARS, join_names, quote_cell, shorten

MAX_LISTED_CELLS = 5
MAX_TEXT_LEVELS = 100  # text with more levels than this, and than half of the rows, is a name for each row
MAX_LABEL_CHARS = 40  # on average; longer text with more levels than half of the rows is free text
MIN_NUMERIC_SHARE = 0.9  # a share of cells that are numbers from which on the others look like slips


def find_name_mistakes(dataset: TableFile, columns: Sequence[str]) -> list[str]:
    """Return a message for each configured name that is not a column or has two uses."""
    target_key = "targets" if dataset.targets else "target"
    names = [(target_key, name) for name in dataset.target_names]
    names += [("group", dataset.group)] if dataset.group is not None else []
    names += [("ignore", name) for name in dataset.ignore] + [("categories", name) for name in dataset.categories]
    unknown = [
        (key, name, did_you_mean(name, list(map(shorten, columns)))) for key, name in names if name not in columns
    ]
    mistakes = [f"dataset.{key}: a column of {dataset.file}; got {shorten(name)}{hint}" for key, name, hint in unknown]
    if twice := sorted(set(dataset.target_names) & {dataset.group, *dataset.ignore, *dataset.categories}):
        rule = "is also under group, ignore or categories; only one can be"
        mistakes.append(f"dataset.{target_key}: {join_names(twice)} {rule}")
    if overlapping := sorted(set(dataset.categories) & {dataset.group, *dataset.ignore}):
        name = ", ".join(overlapping)
        mistakes.append(f"dataset.categories: {name} is also under group or ignore; leave it out in one")
    return [*mistakes, f"columns: {join_names(columns)}"] if mistakes else []


def select_feature_names(frame: pd.DataFrame, dataset: TableFile) -> list[str]:
    """Return the feature columns in the order of the file."""
    excluded = {*dataset.target_names, dataset.group, *dataset.ignore}
    return [str(name) for name in frame.columns if name not in excluded]


def find_cell_mistakes(frame: pd.DataFrame, dataset: TableFile) -> list[str]:
    """Return a message for each feature column with invalid cells."""
    checks = (_find_long_name, _find_infinite_numbers, _find_unusable_text, _find_missing_cells)
    messages = [check(frame[name], dataset) for name in select_feature_names(frame, dataset) for check in checks]
    return [line for line in messages if line]


def _find_long_name(column: pd.Series[Any], dataset: TableFile) -> str | None:
    name = str(column.name)
    rule = f"a column's name has at most {MAX_NAME_CHARS:,} characters"
    return f"{dataset.file}: {rule}; got {shorten(name)}" if len(name) > MAX_NAME_CHARS else None


def _find_infinite_numbers(column: pd.Series[Any], dataset: TableFile) -> str | None:
    if column.name in dataset.categories or not is_numeric_column(column):
        return None
    is_infinite = np.isinf(to_float32(column.to_frame())[:, 0])
    if not is_infinite.any():
        return None
    name = shorten(str(column.name))
    rule = f"numbers are finite or missing; infinite ones in {name}, {format_row_numbers(is_infinite)}"
    return f"{dataset.file}: {rule}: empty those cells, or dataset.ignore=[{name}]"


def _find_unusable_text(column: pd.Series[Any], dataset: TableFile) -> str | None:
    """Return a message for text that is too long, mostly numeric, unique in most rows, or not text."""
    name = shorten(str(column.name))
    present = column.dropna()
    if types.is_numeric_dtype(column):
        return None
    lengths = present.map(str).str.len()
    if lengths.max() > MAX_NAME_CHARS:
        longest = np.flatnonzero(column.notna())[int(lengths.argmax())] + 1
        message = f"{dataset.file}: a category has at most {MAX_NAME_CHARS:,} characters; {name} has {lengths.max():,}"
        return f"{message} in row {longest}: shorten it, or dataset.ignore=[{name}]"
    if column.name in dataset.categories:
        return None
    if present.map(lambda cell: isinstance(cell, list | dict | set | np.ndarray | bytes)).any():
        return f"{dataset.file}: a cell is a number or a text; {name} has others: dataset.ignore=[{name}]"
    is_numeric = pd.to_numeric(present.map(str), errors="coerce").notna()
    if MIN_NUMERIC_SHARE <= is_numeric.mean() < 1:
        slips = ", ".join(quote_cell(str(cell)) for cell in present[~is_numeric].unique()[:MAX_LISTED_CELLS])
        message = f"{dataset.file}: {name} has numbers, and in {int((~is_numeric).sum())} rows {slips}"
        return f"{message}: empty or fix those cells, or dataset.categories=[{name}]"
    if date_shares := find_date_shares(column):
        return find_date_mistake(column, date_shares, dataset)
    levels = present.nunique()
    if levels > len(column) / 2 and (levels > MAX_TEXT_LEVELS or lengths.mean() > MAX_LABEL_CHARS):
        rule = f"a category repeats; {name} has {levels} different texts in {len(column)} rows, names or free text"
        message = f"{dataset.file}: {rule}"
        return f"{message}: dataset.ignore=[{name}], or dataset.categories=[{name}] to use it anyway"
    return None


def _find_missing_cells(column: pd.Series[Any], dataset: TableFile) -> str | None:
    is_missing = column.isna().to_numpy()
    if dataset.missing == "impute" or not is_missing.any():
        return None
    name = shorten(str(column.name))
    rule = f"every cell has a value; {name} has none in {format_row_numbers(is_missing)}"
    return f"dataset.missing=refuse: {rule}: fill them, dataset.missing=impute, or dataset.ignore=[{name}]"


def format_row_numbers(is_invalid: NDArray[np.bool_]) -> str:
    """Format the number of invalid rows and the first row numbers, counted from 1."""
    first = ", ".join(map(str, np.flatnonzero(is_invalid)[:MAX_LISTED_CELLS] + 1))
    return f"{int(is_invalid.sum())} rows, first {first}"
