"""A table from a CSV or parquet file: numbers, categories, a target, and rows that belong together."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from pipeline.config.datasets import TableFile
from pipeline.data.examples import DataError, Examples, Table, TargetKind
from pipeline.data.names import printable

SHOWN = 5
LONGEST_CELL = 40
MOST_LEVELS = 100  # text with more levels than this, and than half of the rows, is a name for each row
MOSTLY = 0.9  # a share of cells that are numbers from which on the others look like slips
UNREADABLE = (OSError, ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, MemoryError, csv.Error)


def load(dataset: TableFile, wants: TargetKind) -> Examples:
    """The file's rows; text columns are categories by themselves, other columns where `dataset.categories` names them.

    Raises DataError for columns that are not there, and for a target or numbers that cannot be used.
    """
    frame = _read(dataset.file)
    _check_names(dataset, list(frame.columns))
    _check_cells(frame, dataset)
    target = frame[dataset.target]
    targets, classes = _numbers(target, dataset) if wants == "numbers" else _classes(target, dataset)
    used = _used(frame, dataset)
    constant = [name for name in used if frame[name].nunique(dropna=False) <= 1]
    table = _table(frame, [name for name in used if name not in constant], dataset)
    groups, lone = _groups(frame, dataset.group)
    return Examples(
        inputs=table,
        targets=targets,
        kind="numbers" if wants == "numbers" else "classes",
        names=tuple(map(str, range(len(frame)))),
        groups=groups,
        test=np.zeros(len(frame), dtype=np.bool_),
        classes=classes,
        notes=_notes(table, constant) + lone,
    ).with_fingerprint()


def read_text(file: Path, key: str) -> pd.DataFrame:
    """A CSV file with every cell as text; raises DataError where it is none."""
    try:
        frame = pd.read_csv(file, dtype=str, keep_default_na=False, compression=None)
        _check_header(file, frame)
    except UNREADABLE as error:
        raise DataError(f"{key}: {file} is no CSV file ({_first_line(error)})") from None
    if frame.empty:
        raise DataError(f"{key}: {file} has no rows")
    return frame


def read_rows(file: Path, numbers: Sequence[str], categories: Sequence[str]) -> tuple[Table, list[str]]:
    """The rows of a file that a trained model is asked about, and for each row "" or why it cannot be answered.

    Raises DataError where the file cannot be read or lacks a column of the model's.
    """
    frame = _read(file)
    if missing := [name for name in [*numbers, *categories] if name not in frame]:
        raise DataError(f"no column {', '.join(missing)}; the model was trained with it")
    values = _float32(frame[list(numbers)].apply(pd.to_numeric, errors="coerce"))
    wrong = (np.isnan(values) & frame[list(numbers)].notna().to_numpy()) | np.isinf(values)
    errors = [", ".join(f"{numbers[column]}: no number" for column in np.flatnonzero(row).tolist()) for row in wrong]
    codes, levels = _coded(frame, categories)
    return Table(np.where(wrong, np.nan, values), tuple(numbers), codes, tuple(categories), levels), errors


def _read(file: Path) -> pd.DataFrame:
    try:
        if file.suffix.lower() in (".parquet", ".pq"):
            frame = pd.read_parquet(file)
            frame = frame.reset_index() if any(frame.index.names) else frame  # a column that someone made the index
        else:
            frame = pd.read_csv(file, low_memory=False, compression=None)
            _check_header(file, frame)
    except UNREADABLE as error:
        raise DataError(f"{file}: no CSV or parquet file that can be read ({_first_line(error)})") from None
    if frame.empty:
        raise DataError(f"{file}: has no rows")
    frame = frame.rename(columns=str)
    if frame.columns.has_duplicates:
        twice = ", ".join(sorted(set(frame.columns[frame.columns.duplicated()])))
        raise DataError(f"{file}: each column has its own name; got twice: {twice}")
    return frame


def _check_header(file: Path, frame: pd.DataFrame) -> None:
    """Pandas quietly renames a second column of a name, and takes cells beyond the header for a column of its own."""
    with file.open(newline="", encoding="utf-8-sig") as stream:
        header = next(csv.reader(stream), [])
    if twice := sorted({printable(name) for name in header if name and header.count(name) > 1}):
        raise ValueError(f"each column has its own name; got twice: {', '.join(twice)}")
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise ValueError("the first line has one name; the columns are to be separated by commas")
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError("a row has more cells than the first line has names")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _check_names(dataset: TableFile, columns: Sequence[str]) -> None:
    """Every name that was typed is a column; all that are not are said at once."""
    named = [("target", dataset.target), *([("group", dataset.group)] if dataset.group is not None else [])]
    named += [("ignore", name) for name in dataset.ignore] + [("categories", name) for name in dataset.categories]
    mistakes = []
    for key, name in named:
        if name not in columns:
            close = get_close_matches(name, columns, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            mistakes.append(f"dataset.{key}: a column of {dataset.file}; got {name}{hint}")
    if dataset.target in (dataset.group, *dataset.ignore, *dataset.categories):
        mistakes.append(f"dataset.target: {dataset.target} is also under group, ignore or categories; only one can be")
    if twice := sorted(set(dataset.categories) & {dataset.group, *dataset.ignore}):
        mistakes.append(f"dataset.categories: {', '.join(twice)} is also under group or ignore; leave it out in one")
    if mistakes:
        raise DataError("\n".join([*mistakes, f"columns: {', '.join(map(printable, columns))}"]))


def _used(frame: pd.DataFrame, dataset: TableFile) -> list[str]:
    """The columns to learn from, in the order of the file."""
    outside = {dataset.target, dataset.group, *dataset.ignore}
    return [str(name) for name in frame.columns if name not in outside]


def _check_cells(frame: pd.DataFrame, dataset: TableFile) -> None:
    """A line for each column that is not what its cells make of it, with what to write instead."""
    mistakes = [
        line
        for name in _used(frame, dataset)
        for line in (_odd_number(frame[name], dataset), _odd_text(frame[name], dataset))
        if line
    ]
    if mistakes:
        raise DataError("\n".join(mistakes))


def _odd_number(column: pd.Series[Any], dataset: TableFile) -> str | None:
    if column.name in dataset.categories or not _is_number(column):
        return None
    infinite = np.isinf(_float32(column.to_frame())[:, 0])
    if not infinite.any():
        return None
    rule = f"numbers are finite or missing; infinite ones in {column.name}, {_rows(infinite)}"
    return f"{dataset.file}: {rule}: empty those cells, or dataset.ignore=[{column.name}]"


def _odd_text(column: pd.Series[Any], dataset: TableFile) -> str | None:
    """Text that looks like numbers with slips, that names each row, or that is no text at all."""
    name = column.name
    if name in dataset.categories or types.is_numeric_dtype(column):
        return None
    present = column.dropna()
    if present.map(lambda cell: isinstance(cell, list | dict | set | np.ndarray | bytes)).any():
        return f"{dataset.file}: a cell is a number or a text; {name} has others: dataset.ignore=[{name}]"
    numeric = pd.to_numeric(present.map(str), errors="coerce").notna()
    if MOSTLY <= numeric.mean() < 1:
        slips = ", ".join(repr(printable(str(cell))[:LONGEST_CELL]) for cell in present[~numeric].unique()[:SHOWN])
        said = f"{dataset.file}: {name} has numbers, and in {int((~numeric).sum())} rows {slips}"
        return f"{said}: empty or mend those cells, or dataset.categories=[{name}]"
    if (levels := present.nunique()) > max(MOST_LEVELS, len(column) / 2):
        said = f"{dataset.file}: {name} has {levels} different texts in {len(column)} rows, a name and no category"
        return f"{said}: dataset.ignore=[{name}], or dataset.categories=[{name}] to use it all the same"
    return None


def _rows(wrong: NDArray[np.bool_]) -> str:
    """How many rows, and the first of them, counted from 0."""
    return f"{int(wrong.sum())} rows, first {', '.join(map(str, np.flatnonzero(wrong)[:SHOWN]))}"


def _float32(frame: pd.DataFrame) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and that is refused
        return frame.to_numpy(dtype=np.float32, na_value=np.nan)


def _numbers(target: pd.Series[Any], dataset: TableFile) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    values = _float32(pd.to_numeric(target, errors="coerce").to_frame())[:, 0]
    if (wrong := ~np.isfinite(values)).all():
        raise DataError(f"dataset.target: {dataset.target} is a number for this head; got none (head=softmax)")
    if wrong.any():
        rule = f"{dataset.target} is a finite number in every row; not so in {_rows(wrong)}"
        raise DataError(f"dataset.target: {rule}: mend or remove those rows")
    return values, ()


def _classes(target: pd.Series[Any], dataset: TableFile) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if (missing := target.isna().to_numpy()).any():
        rule = f"{dataset.target} is there in every row; missing in {_rows(missing)}"
        raise DataError(f"dataset.target: {rule}: fill or remove those rows")
    codes, levels = pd.factorize(target.map(_text), sort=True)
    if not 2 <= len(levels) <= len(target) / 2:
        found = f"{len(levels)} in {len(target)} rows"
        raise DataError(f"dataset.target: {dataset.target} has a few classes for this head; got {found} (head=number)")
    return codes.astype(np.int64), tuple(map(str, levels))


def _groups(frame: pd.DataFrame, group: str | None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """int64 [N], equal where the column is; a row without a group is alone, which is noted."""
    if group is None:
        return np.arange(len(frame), dtype=np.int64), ()
    codes = pd.factorize(frame[group])[0].astype(np.int64)
    lone = np.flatnonzero(codes < 0)
    codes[lone] = len(frame) + lone
    return codes, (f"rows without {group}, each a group of its own: {len(lone)}",) if len(lone) else ()


def _table(frame: pd.DataFrame, used: Sequence[str], dataset: TableFile) -> Table:
    if not used:
        raise DataError(f"{dataset.file}: no column is left to learn from")
    categories = [name for name in used if name in dataset.categories or not _is_number(frame[name])]
    numbers = [name for name in used if name not in categories]
    codes, levels = _coded(frame, categories)
    return Table(_float32(frame[numbers]), tuple(numbers), codes, tuple(categories), levels)


def _is_number(column: pd.Series[Any]) -> bool:
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
