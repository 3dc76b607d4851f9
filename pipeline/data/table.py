"""A table from a CSV or parquet file: numbers, categories, a target, and rows that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from pipeline.config.datasets import TableFile
from pipeline.data.examples import DataError, Examples, Table, TargetKind

SHOWN = 5


def load(dataset: TableFile, wants: TargetKind) -> Examples:
    """The file's rows; text columns are categories by themselves, other columns where `dataset.categories` names them.

    Raises DataError for columns that are not there, and for a target or numbers that cannot be used.
    """
    frame = _read(dataset.file)
    _check_names(dataset, list(frame.columns))
    target = frame[dataset.target]
    targets, classes = _numbers(target, dataset) if wants == "numbers" else _classes(target, dataset)
    outside = {dataset.target, dataset.group, *dataset.ignore}
    used = [name for name in frame.columns if name not in outside]
    constant = [name for name in used if frame[name].nunique(dropna=False) <= 1]
    table = _table(frame, [name for name in used if name not in constant], dataset)
    rows = np.arange(len(frame))
    groups = rows if dataset.group is None else pd.factorize(frame[dataset.group], use_na_sentinel=False)[0]
    return Examples(
        inputs=table,
        targets=targets,
        kind="numbers" if wants == "numbers" else "classes",
        names=tuple(map(str, rows)),
        groups=groups.astype(np.int64),
        test=np.zeros(len(frame), dtype=np.bool_),
        classes=classes,
        notes=_notes(table, constant),
    ).with_fingerprint()


def read_text(file: Path, key: str) -> pd.DataFrame:
    """A CSV file with every cell as text; raises DataError where it is none."""
    try:
        return pd.read_csv(file, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{key}: {file} is no CSV file ({str(error).splitlines()[0]})") from None


def read_rows(file: Path, numbers: Sequence[str], categories: Sequence[str]) -> tuple[Table, list[str]]:
    """The rows of a file that a trained model is asked about, and for each row "" or why it cannot be answered.

    Raises DataError where the file cannot be read or lacks a column of the model's.
    """
    frame = _read(file)
    if missing := [name for name in [*numbers, *categories] if name not in frame]:
        raise DataError(f"no column {', '.join(missing)}; the model was trained with it")
    values = frame[list(numbers)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float32, na_value=np.nan)
    wrong = (np.isnan(values) & frame[list(numbers)].notna().to_numpy()) | np.isinf(values)
    errors = [", ".join(f"{numbers[column]}: no number" for column in np.flatnonzero(row).tolist()) for row in wrong]
    codes, levels = _coded(frame, categories)
    return Table(np.where(wrong, np.nan, values), tuple(numbers), codes, tuple(categories), levels), errors


def _read(file: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(file) if file.suffix.lower() in (".parquet", ".pq") else pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: no CSV or parquet file that can be read ({str(error).splitlines()[0]})") from None
    if frame.empty:
        raise DataError(f"{file}: has no rows")
    return frame.rename(columns=str)


def _check_names(dataset: TableFile, columns: Sequence[str]) -> None:
    """Every name that was typed is a column; all that are not are said at once."""
    named = [("target", dataset.target), *([("group", dataset.group)] if dataset.group else [])]
    named += [("ignore", name) for name in dataset.ignore] + [("categories", name) for name in dataset.categories]
    mistakes = []
    for key, name in named:
        if name not in columns:
            close = get_close_matches(name, columns, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            mistakes.append(f"dataset.{key}: a column of {dataset.file}; got {name}{hint}")
    if dataset.target in dataset.ignore or dataset.target in dataset.categories:
        mistakes.append(f"dataset.target: {dataset.target} is also under ignore or categories; leave it out there")
    if mistakes:
        raise DataError("\n".join([*mistakes, f"columns: {', '.join(columns)}"]))


def _numbers(target: pd.Series, dataset: TableFile) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    values = pd.to_numeric(target, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if not (finite := np.isfinite(values)).all():
        rows = ", ".join(map(str, np.flatnonzero(~finite)[:SHOWN]))
        wrong = f"not so in {int((~finite).sum())} rows, first {rows}"
        raise DataError(f"dataset.target: {dataset.target} is a finite number in every row; {wrong}")
    return values.astype(np.float32), ()


def _classes(target: pd.Series, dataset: TableFile) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if target.isna().any():
        missing = int(target.isna().sum())
        raise DataError(f"dataset.target: {dataset.target} is there in every row; missing in {missing}")
    codes, levels = pd.factorize(target.map(_text), sort=True)
    if not 2 <= len(levels) <= len(target) / 2:
        found = f"{len(levels)} in {len(target)} rows"
        raise DataError(f"dataset.target: {dataset.target} has a few classes for this head; got {found} (head=number)")
    return codes.astype(np.int64), tuple(map(str, levels))


def _table(frame: pd.DataFrame, used: Sequence[str], dataset: TableFile) -> Table:
    categories = [name for name in used if name in dataset.categories or not _is_number(frame[name])]
    numbers = [name for name in used if name not in categories]
    if not used:
        raise DataError(f"{dataset.file}: no column is left to learn from")
    values = frame[numbers].to_numpy(dtype=np.float32, na_value=np.nan)
    if infinite := [name for name, column in zip(numbers, values.T, strict=True) if np.isinf(column).any()]:
        raise DataError(f"{dataset.file}: numbers are finite or missing; infinite ones in {', '.join(infinite)}")
    codes, levels = _coded(frame, categories)
    return Table(values, tuple(numbers), codes, tuple(categories), levels)


def _is_number(column: pd.Series) -> bool:
    return types.is_numeric_dtype(column) and not types.is_bool_dtype(column)


def _coded(frame: pd.DataFrame, categories: Sequence[str]) -> tuple[NDArray[np.int64], tuple[tuple[str, ...], ...]]:
    """int64 [N, C] into each column's sorted levels, -1 where the cell is empty."""
    codes, levels = np.full((len(frame), len(categories)), -1, dtype=np.int64), []
    for column, name in enumerate(categories):
        found, names = pd.factorize(frame[name].map(_text, na_action="ignore"), sort=True)
        codes[:, column] = found
        levels.append(tuple(map(str, names)))
    return codes, tuple(levels)


def _text(value: object) -> str:
    """A level's name: a whole number has no decimal point, whatever type its column was read as."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _notes(table: Table, constant: Sequence[str]) -> tuple[str, ...]:
    notes = [f"left out, the same in every row: {', '.join(constant)}"] if constant else []
    counts = zip(table.number_names, np.isnan(table.numbers).sum(axis=0), strict=True)
    if missing := [f"{name} in {count} rows" for name, count in counts if count]:
        counted = ", ".join(missing)
        notes.append(f"missing numbers, replaced by the training rows' median and flagged: {counted}")
    return tuple(notes)
