"""Detect columns of dates in a table, and convert them to numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd
from pandas.api import types

from pipeline.config.datasets import TableFile
from pipeline.data.date_columns import DATE_PARTS_NOTE, DateColumn, DateFormat
from pipeline.data.examples import DataError
from pipeline.runtime.text import MAX_NAME_CHARS, join_names, quote_cell, shorten

EPOCH = pd.Timestamp("1970-01-01", tz="UTC")
MAX_LISTED_SLIPS = 5
MIN_DATE_SHARE = 0.9  # of the different cells, from which on the others look like slips
SAMPLE_CELLS = 200  # tell most texts from dates without parsing all of them
MIN_DATE_CHARS = 7  # as 2020-01; 2020 alone is a number or a code
YEARS = (1700, 2200)  # of dates; other texts that can be read as one are codes


def find_date_columns(frame: pd.DataFrame, names: Sequence[str], dataset: TableFile) -> tuple[DateColumn, ...]:
    """Return the columns among these names whose cells are all dates or empty, unless they are `dataset.categories`."""
    formats = {name: find_date_format(frame[name]) for name in names if name not in dataset.categories}
    return tuple(DateColumn(name, date_format) for name, date_format in formats.items() if date_format is not None)


def find_date_format(column: pd.Series[Any]) -> DateFormat | None:
    """Return the first format in which each present cell is a date, or None if there is no such format."""
    return next((each for each, share in find_date_shares(column).items() if share == 1), None)


def find_date_shares(column: pd.Series[Any]) -> dict[DateFormat, float]:
    """Return the share of the different cells that are dates, for each format in which almost all are."""
    if types.is_numeric_dtype(column) or column.isna().all():
        return {}
    cells = pd.Series(column.dropna().map(str).unique())
    formats = list[DateFormat](get_args(DateFormat))
    shares = dict[DateFormat, float]()
    for rows in (cells.iloc[:: len(cells) // SAMPLE_CELLS + 1], cells):
        shares = {each: float(parse_dates(rows, each).notna().mean()) for each in formats}
        formats = [each for each, share in shares.items() if share >= MIN_DATE_SHARE]
    return {each: shares[each] for each in formats}


def find_date_mistake(column: pd.Series[Any], shares: Mapping[DateFormat, float], dataset: TableFile) -> str | None:
    """Return a message for dates with other cells between them, or with day and month in an unknown order.

    shares: see `find_date_shares`; there is at least one.
    """
    name = shorten(str(column.name))
    date_format = max(shares, key=lambda each: shares[each])
    cells = column.dropna()
    is_slip = parse_dates(cells, date_format).isna()
    if is_slip.any():
        slips = ", ".join(quote_cell(str(cell)) for cell in cells[is_slip].unique()[:MAX_LISTED_SLIPS])
        message = f"{dataset.file}: {name} has dates, and in {int(is_slip.sum())} rows {slips}"
        return f"{message}: empty or fix those cells, or dataset.categories=[{name}]"
    if shares.get("%m/%d/%Y") == shares.get("%d/%m/%Y") == 1:
        rule = f"a date has one reading; {name} has the day or the month first, as {quote_cell(str(cells.iloc[0]))}"
        return f"{dataset.file}: {rule}: write it as 2020-01-31, or dataset.ignore=[{name}]"
    return None


def expand_dates(frame: pd.DataFrame, dates: Sequence[DateColumn]) -> pd.DataFrame:
    """Return the table with the number columns of each date in its place: NaN where there is no date.

    Raises DataError if such a column exists already, or would have too long a name.
    """
    if not dates:
        return frame
    new_names = [name for column in dates for name in column.number_names]
    if taken := [name for name in new_names if name in frame or len(name) > MAX_NAME_CHARS]:
        rule = f"a date becomes columns with names of their own, at most {MAX_NAME_CHARS:,} characters"
        raise DataError(f"{rule}; got {join_names(taken)}: rename the column")
    parts = {str(name): frame[[name]] for name in frame.columns}
    for column in dates:
        parts[column.name] = _convert_to_numbers(frame[column.name], column)
    return pd.concat(list(parts.values()), axis=1)


def parse_dates(column: pd.Series[Any], date_format: DateFormat) -> pd.Series[pd.Timestamp]:
    """Return the cells as dates in UTC, NaT where there is none of this format and of the years 1700 to 2200."""
    texts = column.map(str, na_action="ignore").astype("string")
    long_texts = texts.where(texts.str.len() >= MIN_DATE_CHARS)
    parsed = pd.to_datetime(long_texts, format=date_format, errors="coerce", utc=True)
    return parsed.where(parsed.dt.year.between(*YEARS))


def make_date_notes(dates: Sequence[DateColumn]) -> tuple[str, ...]:
    """Return a line that names the date columns, if there are any."""
    return (f"dates, each replaced by {DATE_PARTS_NOTE}: {join_names(column.name for column in dates)}",) * bool(dates)


def _convert_to_numbers(column: pd.Series[Any], date: DateColumn) -> pd.DataFrame:
    parsed = parse_dates(column, date.format)
    days = (parsed - EPOCH) / pd.Timedelta(days=1)
    parts: tuple[pd.Series[Any], ...] = (parsed.dt.year, parsed.dt.month, parsed.dt.day_of_week, days)
    values = {name: part.astype(np.float64) for name, part in zip(date.number_names, parts, strict=True)}
    return pd.DataFrame(values, index=column.index)
