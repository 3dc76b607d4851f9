"""A CSV or parquet file becomes a pandas frame, or says why it cannot."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from pipeline.data.examples import DataError
from pipeline.data.files import check_regular
from pipeline.runtime.text import listed_names, shown

UNREADABLE = (OSError, ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, MemoryError, csv.Error)
LONGEST_REASON = 300


def read_text(file: Path, key: str) -> pd.DataFrame:
    """A CSV file with every cell as text; raises DataError where it is none."""
    try:
        check_regular(file)
        frame = pd.read_csv(file, dtype=str, keep_default_na=False, compression=None)
        _check_header(file, frame)
    except UNREADABLE as error:
        raise DataError(f"{key}: a CSV file; got {file} ({_reason(error)})") from None
    if frame.empty:
        raise DataError(f"{key}: {file} has no rows")
    return frame


def read_frame(file: Path) -> pd.DataFrame:
    """A CSV or parquet file with the types that its cells have; raises DataError where it is none."""
    try:
        check_regular(file)
        if file.suffix.lower() in (".parquet", ".pq"):
            frame = pd.read_parquet(file)
            frame = frame.reset_index() if any(frame.index.names) else frame  # a column that someone made the index
        else:
            frame = pd.read_csv(file, low_memory=False, compression=None)
            _check_header(file, frame)
    except UNREADABLE as error:
        raise DataError(f"{file}: no CSV or parquet file that can be read ({_reason(error)})") from None
    if frame.empty:
        raise DataError(f"{file}: has no rows")
    frame = frame.rename(columns=str)
    if frame.columns.has_duplicates:
        twice = listed_names(sorted(set(frame.columns[frame.columns.duplicated()])))
        raise DataError(f"{file}: each column has its own name; got twice: {twice}")
    return frame


def _check_header(file: Path, frame: pd.DataFrame) -> None:
    """Pandas quietly renames a second column of a name, and takes cells beyond the header for a column of its own."""
    with file.open(newline="", encoding="utf-8-sig") as stream:
        header = next(csv.reader(stream), [])
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise ValueError(f"each column has its own name; got twice: {listed_names(twice)}")
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise ValueError("the first line has one name; the columns are to be separated by commas")
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError("a row has more cells than the first line has names")


def _reason(error: Exception) -> str:
    """What went wrong, in one line; of the system's own words without the path, which stands before."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return shown((str(error) or type(error).__name__).splitlines()[0], LONGEST_REASON)
