"""What is wrong with the columns of a table: every mistake a line, with what to write instead."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from pipeline.config.datasets import TableFile
from pipeline.data.examples import TargetKind
from pipeline.runtime.text import LONGEST_NAME, listed_names, quoted, shown

SHOWN = 5
MOST_LEVELS = 100  # text with more levels than this, and than half of the rows, is a name for each row
MOSTLY = 0.9  # a share of cells that are numbers from which on the others look like slips


def name_mistakes(dataset: TableFile, columns: Sequence[str]) -> list[str]:
    """Every name that was typed is a column and has one use."""
    named = [("target", dataset.target), *([("group", dataset.group)] if dataset.group is not None else [])]
    named += [("ignore", name) for name in dataset.ignore] + [("categories", name) for name in dataset.categories]
    mistakes = []
    for key, name in named:
        if name not in columns:
            close = get_close_matches(name, columns, n=1)
            hint = f" (did you mean {shown(close[0])}?)" if close else ""
            mistakes.append(f"dataset.{key}: a column of {dataset.file}; got {name}{hint}")
    if dataset.target in (dataset.group, *dataset.ignore, *dataset.categories):
        mistakes.append(f"dataset.target: {dataset.target} is also under group, ignore or categories; only one can be")
    if twice := sorted(set(dataset.categories) & {dataset.group, *dataset.ignore}):
        mistakes.append(f"dataset.categories: {', '.join(twice)} is also under group or ignore; leave it out in one")
    return [*mistakes, f"columns: {listed_names(columns)}"] if mistakes else []


def used(frame: pd.DataFrame, dataset: TableFile) -> list[str]:
    """The columns to learn from, in the order of the file."""
    outside = {dataset.target, dataset.group, *dataset.ignore}
    return [str(name) for name in frame.columns if name not in outside]


def cell_mistakes(frame: pd.DataFrame, dataset: TableFile) -> list[str]:
    """A line for each column that is not what its cells make of it."""
    checks = (_long_name, _odd_number, _odd_text, _gaps)
    found = [check(frame[name], dataset) for name in used(frame, dataset) for check in checks]
    return [line for line in found if line]


def target_mistakes(target: pd.Series[Any], wants: TargetKind, dataset: TableFile) -> list[str]:
    """Every row has an answer, of the kind that the head asks for, and not the same everywhere."""
    wrong = (_no_numbers if wants == "numbers" else _no_classes)(target)
    return [f"dataset.target: {shown(dataset.target)} {wrong}"] if wrong else []


def is_number(column: pd.Series[Any]) -> bool:
    """Whether a column holds numbers; yes and no are none."""
    return types.is_numeric_dtype(column) and not types.is_bool_dtype(column)


def float32(frame: pd.DataFrame) -> NDArray[np.float32]:
    """float32 [N, columns]; what it cannot hold becomes infinite, and that is refused."""
    with np.errstate(over="ignore"):
        return frame.to_numpy(dtype=np.float32, na_value=np.nan)


def level(value: object) -> str:
    """A level's name: a whole number has no decimal point, whatever type its column was read as."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _no_numbers(target: pd.Series[Any]) -> str | None:
    values = float32(pd.to_numeric(target, errors="coerce").to_frame())[:, 0]
    if (wrong := ~np.isfinite(values)).all():
        return "is a number for this head; got none (head=softmax)"
    if wrong.any():
        return f"is a finite number in every row; not so in {_rows(wrong)}: mend or remove those rows"
    if (values == values[0]).all():
        return f"differs between the rows; got {values[0]:g} in every one of {len(values)}: name another column"
    return None


def _no_classes(target: pd.Series[Any]) -> str | None:
    if (missing := target.isna().to_numpy()).any():
        return f"is there in every row; missing in {_rows(missing)}: fill or remove those rows"
    levels = target.map(level).unique()
    if len(levels) == 1:
        found = quoted(levels[0])
        return f"has at least two classes; got {found} in every one of {len(target)} rows: name another column"
    if len(levels) > len(target) / 2:
        return f"has a few classes for this head; got {len(levels)} in {len(target)} rows (head=number)"
    if longest := [name for name in levels if len(name) > LONGEST_NAME]:
        return f"has classes of at most {LONGEST_NAME:,} characters; got {quoted(longest[0])}: shorten it"
    return None


def _long_name(column: pd.Series[Any], dataset: TableFile) -> str | None:
    if len(str(column.name)) <= LONGEST_NAME:
        return None
    return f"{dataset.file}: a column's name has at most {LONGEST_NAME:,} characters; got {shown(str(column.name))}"


def _odd_number(column: pd.Series[Any], dataset: TableFile) -> str | None:
    if column.name in dataset.categories or not is_number(column):
        return None
    infinite = np.isinf(float32(column.to_frame())[:, 0])
    if not infinite.any():
        return None
    name = shown(str(column.name))
    rule = f"numbers are finite or missing; infinite ones in {name}, {_rows(infinite)}"
    return f"{dataset.file}: {rule}: empty those cells, or dataset.ignore=[{name}]"


def _odd_text(column: pd.Series[Any], dataset: TableFile) -> str | None:
    """Text that is too long, looks like numbers with slips, names each row, or is no text at all."""
    name, present = shown(str(column.name)), column.dropna()
    if types.is_numeric_dtype(column):
        return None
    lengths = present.map(str).str.len()
    if lengths.max() > LONGEST_NAME:
        longest = np.flatnonzero(column.notna())[int(lengths.argmax())] + 1
        said = f"{dataset.file}: a category has at most {LONGEST_NAME:,} characters; {name} has {lengths.max():,}"
        return f"{said} in row {longest}: shorten it, or dataset.ignore=[{name}]"
    if column.name in dataset.categories:
        return None
    if present.map(lambda cell: isinstance(cell, list | dict | set | np.ndarray | bytes)).any():
        return f"{dataset.file}: a cell is a number or a text; {name} has others: dataset.ignore=[{name}]"
    numeric = pd.to_numeric(present.map(str), errors="coerce").notna()
    if MOSTLY <= numeric.mean() < 1:
        slips = ", ".join(quoted(str(cell)) for cell in present[~numeric].unique()[:SHOWN])
        said = f"{dataset.file}: {name} has numbers, and in {int((~numeric).sum())} rows {slips}"
        return f"{said}: empty or mend those cells, or dataset.categories=[{name}]"
    if (levels := present.nunique()) > max(MOST_LEVELS, len(column) / 2):
        said = f"{dataset.file}: {name} has {levels} different texts in {len(column)} rows, a name and no category"
        return f"{said}: dataset.ignore=[{name}], or dataset.categories=[{name}] to use it all the same"
    return None


def _gaps(column: pd.Series[Any], dataset: TableFile) -> str | None:
    missing = column.isna().to_numpy()
    if dataset.missing == "impute" or not missing.any():
        return None
    name = shown(str(column.name))
    rule = f"every cell has a value; {name} has none in {_rows(missing)}"
    return f"dataset.missing=refuse: {rule}: fill them, dataset.missing=impute, or dataset.ignore=[{name}]"


def _rows(wrong: NDArray[np.bool_]) -> str:
    """How many rows, and the first of them, counted from 1 as everywhere."""
    return f"{int(wrong.sum())} rows, first {', '.join(map(str, np.flatnonzero(wrong)[:SHOWN] + 1))}"
