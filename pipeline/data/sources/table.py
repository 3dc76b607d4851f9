"""A table from a CSV or parquet file: numbers, categories, a target, and rows that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.config.datasets import TableFile
from pipeline.data.examples import DataError, Examples, Table, TargetKind
from pipeline.data.sources.table_checks import (
    cell_mistakes,
    float32,
    is_number,
    level,
    name_mistakes,
    target_mistakes,
    used,
)
from pipeline.data.sources.table_files import read_frame
from pipeline.runtime.text import listed_names, printable, shown


def load(dataset: TableFile, wants: TargetKind) -> Examples:
    """The file's rows; text columns are categories by themselves, other columns where `dataset.categories` names them.

    Raises DataError with all columns that are not there, or else with all that is wrong with the cells.
    """
    frame = read_frame(dataset.file)
    if mistakes := name_mistakes(dataset, list(frame.columns)):
        raise DataError("\n".join(mistakes))
    target = frame[dataset.target]
    if mistakes := target_mistakes(target, wants, dataset) + cell_mistakes(frame, dataset):
        raise DataError("\n".join(mistakes))
    targets, classes = _numbers(target) if wants == "numbers" else _classes(target)
    learned = used(frame, dataset)
    constant = [name for name in learned if frame[name].nunique(dropna=False) <= 1]
    table = _table(frame, [name for name in learned if name not in constant], dataset)
    groups, lone = _groups(frame, dataset.group)
    return Examples(
        inputs=table,
        targets=targets,
        kind="numbers" if wants == "numbers" else "classes",
        names=tuple(map(str, range(1, len(frame) + 1))),
        groups=groups,
        test=np.zeros(len(frame), dtype=np.bool_),
        classes=classes,
        notes=_notes(table, constant) + lone,
    ).with_fingerprint()


def read_rows(file: Path, numbers: Sequence[str], categories: Sequence[str]) -> tuple[Table, list[str]]:
    """The rows of a file, as `rows_of` gives them; raises DataError also where the file cannot be read."""
    return rows_of(read_frame(file), numbers, categories)


def rows_of(frame: pd.DataFrame, numbers: Sequence[str], categories: Sequence[str]) -> tuple[Table, list[str]]:
    """The rows that a trained model is asked about, and for each row "" or why it cannot be answered.

    Raises DataError where a column of the model's is missing.
    """
    if missing := [name for name in [*numbers, *categories] if name not in frame]:
        raise DataError(f"no column {listed_names(missing)}; the model was trained with it")
    values = float32(frame[list(numbers)].apply(pd.to_numeric, errors="coerce"))
    wrong = (np.isnan(values) & frame[list(numbers)].notna().to_numpy(dtype=np.bool_)) | np.isinf(values)
    errors = [
        ", ".join(f"{shown(numbers[column])}: no number" for column in np.flatnonzero(row).tolist()) for row in wrong
    ]
    codes, levels = _coded(frame, categories)
    return Table(np.where(wrong, np.nan, values), tuple(numbers), codes, tuple(categories), levels), errors


def _numbers(target: pd.Series[Any]) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    return float32(pd.to_numeric(target).to_frame())[:, 0], ()


def _classes(target: pd.Series[Any]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    codes, levels = pd.factorize(target.map(level), sort=True)
    return codes.astype(np.int64), tuple(printable(str(name)) for name in levels)


def _groups(frame: pd.DataFrame, group: str | None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """int64 [N], equal where the column is; a row without a group is alone, which is noted."""
    if group is None:
        return np.arange(len(frame), dtype=np.int64), ()
    codes = pd.factorize(frame[group])[0].astype(np.int64)
    lone = np.flatnonzero(codes < 0)
    codes[lone] = len(frame) + lone
    return codes, (f"rows without {shown(group)}, each a group of its own: {len(lone)}",) if len(lone) else ()


def _table(frame: pd.DataFrame, used: Sequence[str], dataset: TableFile) -> Table:
    if not used:
        raise DataError(f"{dataset.file}: no column is left to learn from")
    categories = [name for name in used if name in dataset.categories or not is_number(frame[name])]
    numbers = [name for name in used if name not in categories]
    codes, levels = _coded(frame, categories)
    return Table(float32(frame[numbers]), tuple(numbers), codes, tuple(categories), levels)


def _coded(frame: pd.DataFrame, categories: Sequence[str]) -> tuple[NDArray[np.int64], tuple[tuple[str, ...], ...]]:
    """int64 [N, C] into each column's sorted levels, -1 where the cell is empty."""
    codes, levels = np.full((len(frame), len(categories)), -1, dtype=np.int64), []
    for column, name in enumerate(categories):
        found, names = pd.factorize(frame[name].map(level, na_action="ignore"), sort=True)
        codes[:, column] = found
        levels.append(tuple(map(str, names)))
    return codes, tuple(levels)


def _notes(table: Table, constant: Sequence[str]) -> tuple[str, ...]:
    notes = [f"left out, the same in every row: {listed_names(constant)}"] if constant else []
    if counted := _counted(table.number_names, np.isnan(table.numbers)):
        notes.append(f"missing numbers, replaced by the training rows' median and flagged: {counted}")
    if counted := _counted(table.category_names, table.codes < 0):
        notes.append(f"missing categories, each counted as a category of its own: {counted}")
    return tuple(notes)


def _counted(names: Sequence[str], missing: NDArray[np.bool_]) -> str:
    """Each column with missing cells, and in how many rows."""
    counts = zip(names, missing.sum(axis=0), strict=True)
    return ", ".join(f"{shown(name)} in {count} rows" for name, count in counts if count)
