"""Read CSV and parquet files as pandas frames, and convert their columns."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from pipeline.data.examples import DataError
from pipeline.runtime.errors import first_line
from pipeline.runtime.files import check_regular_file
from pipeline.runtime.text import join_names, shorten

READ_ERRORS = (OSError, ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, MemoryError, csv.Error)
MAX_REASON_CHARS = 300


def read_csv_as_text(file: Path, key: str) -> pd.DataFrame:
    """Read a CSV file with every cell as text; raises DataError if it is not a CSV file or is empty."""
    try:
        check_regular_file(file)
        frame = pd.read_csv(file, dtype=str, keep_default_na=False, compression=None)
        _check_header(file, frame)
    except READ_ERRORS as error:
        raise DataError(f"{key}: a CSV file; got {file} ({_describe_error(error)})") from None
    if frame.empty:
        raise DataError(f"{key}: {file} has no rows")
    return frame


def read_frame(file: Path, *, columns: Sequence[str] | None = None, n_rows: int | None = None) -> pd.DataFrame:
    """Read a CSV or parquet file with inferred types; raises DataError if it cannot be read or is empty.

    columns, n_rows: all that is read of a CSV file, if given; a parquet file is always read whole.
    """
    try:
        check_regular_file(file)
        if file.suffix.lower() in (".parquet", ".pq"):
            frame = pd.read_parquet(file)
            frame = frame.reset_index() if any(frame.index.names) else frame  # a column that someone made the index
        else:
            wanted = None if columns is None else set(columns).__contains__
            frame = pd.read_csv(file, usecols=wanted, nrows=n_rows, low_memory=False, compression=None)
            _check_header(file, frame)
    except READ_ERRORS as error:
        raise DataError(f"{file}: no CSV or parquet file that can be read ({_describe_error(error)})") from None
    if frame.empty:
        raise DataError(f"{file}: has no rows")
    frame = frame.rename(columns=str)
    if frame.columns.has_duplicates:
        duplicates = join_names(sorted(set(frame.columns[frame.columns.duplicated()])))
        raise DataError(f"{file}: each column has its own name; got twice: {duplicates}")
    return frame


def is_numeric_column(column: pd.Series[Any]) -> bool:
    """Return whether a column is numeric and not boolean."""
    return types.is_numeric_dtype(column) and not types.is_bool_dtype(column)


def to_float32(frame: pd.DataFrame) -> NDArray[np.float32]:
    """Convert to float32 [N, columns]; overflow becomes infinite, which the checks refuse."""
    with np.errstate(over="ignore"):
        return frame.to_numpy(dtype=np.float32, na_value=np.nan)


def format_level(value: object) -> str:
    """Format a level's name: an integer has no decimal point, whatever the type of its column."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _check_header(file: Path, frame: pd.DataFrame) -> None:
    """Raise ValueError where pandas would silently rename duplicate columns or use extra cells as an index."""
    with file.open(newline="", encoding="utf-8-sig") as stream:
        header = next(csv.reader(stream), [])
    if duplicates := sorted({name for name in header if name and header.count(name) > 1}):
        raise ValueError(f"each column has its own name; got twice: {join_names(duplicates)}")
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise ValueError("the first line has one name; the columns are to be separated by commas")
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError("a row has more cells than the first line has names")


def _describe_error(error: Exception) -> str:
    """Return the error in one line; an OSError without its path, which the message has already."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return shorten(first_line(error), MAX_REASON_CHARS)
