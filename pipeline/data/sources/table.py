"""Load a table from a CSV or parquet file: numbers, categories, a target and groups of rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.config.datasets import TableFile, TargetKind
from pipeline.data.date_columns import DateColumn, list_file_columns, list_plain_numbers
from pipeline.data.examples import DataError, Examples, Table
from pipeline.data.sources.table_checks import find_cell_mistakes, find_name_mistakes, select_feature_names
from pipeline.data.sources.table_dates import expand_dates, find_date_columns, make_date_notes
from pipeline.data.sources.table_files import format_level, is_numeric_column, read_frame, to_float32
from pipeline.data.sources.table_targets import encode_targets, find_target_mistakes
from pipeline.runtime.text import join_names, shorten


def load_table(dataset: TableFile, target_kind: TargetKind, _cache: Path) -> Examples:
    """Load the rows of a file; text columns and those in `dataset.categories` are categories, the others numbers.

    Dates become numbers, see `DATE_PARTS`.

    Raises DataError with all missing columns, or else with all mistakes in the cells.
    """
    frame = read_frame(dataset.file)
    if mistakes := find_name_mistakes(dataset, list(frame.columns)):
        raise DataError("\n".join(mistakes))
    if mistakes := find_target_mistakes(frame, target_kind, dataset) + find_cell_mistakes(frame, dataset):
        raise DataError("\n".join(mistakes))
    dates = find_date_columns(frame, select_feature_names(frame, dataset), dataset)
    frame = expand_dates(frame, dates)
    targets, classes = encode_targets(frame, target_kind, dataset.target_names)
    feature_names = select_feature_names(frame, dataset)
    constant_names = [name for name in feature_names if frame[name].nunique(dropna=False) <= 1]
    table = _make_table(frame, [name for name in feature_names if name not in constant_names], dataset, dates)
    groups, group_notes = _encode_groups(frame, dataset.group)
    return Examples(
        inputs=table,
        targets=targets,
        target_kind=target_kind,
        names=tuple(map(str, range(1, len(frame) + 1))),
        groups=groups,
        test_mask=np.zeros(len(frame), dtype=np.bool_),
        classes=tuple(classes),
        notes=make_date_notes(dates) + _make_notes(table, constant_names) + group_notes,
    ).with_fingerprint()


def read_table(
    file: Path, numbers: Sequence[str], categories: Sequence[str], dates: Sequence[DateColumn]
) -> tuple[Table, list[str]]:
    """Read a file and parse it with `parse_table`; raises DataError also if the file cannot be read."""
    return parse_table(read_frame(file), numbers, categories, dates)


def parse_table(
    frame: pd.DataFrame, numbers: Sequence[str], categories: Sequence[str], dates: Sequence[DateColumn]
) -> tuple[Table, list[str]]:
    """Return the rows as a table for a trained model, and for each row "" or the reason why it is invalid.

    Raises DataError if a column of the model is missing.
    """
    columns = list_file_columns(numbers, categories, dates)
    if missing := [name for name in columns if name not in frame]:
        raise DataError(f"no column {join_names(missing)}; the model was trained with it")
    expanded = expand_dates(frame[list(columns)], dates)
    values = to_float32(expanded[list(numbers)].apply(pd.to_numeric, errors="coerce"))
    errors = _find_row_errors(frame, expanded, list_plain_numbers(numbers, dates), dates)
    codes, levels = _encode_categories(frame[list(categories)])
    finite_values = np.where(np.isfinite(values), values, np.nan)
    return Table(finite_values, tuple(numbers), codes, tuple(categories), levels), errors


def _find_row_errors(
    frame: pd.DataFrame, expanded: pd.DataFrame, numbers: Sequence[str], dates: Sequence[DateColumn]
) -> list[str]:
    """Return for each row "" or its cells that are neither empty nor what their column holds."""
    columns = [*numbers, *(column.number_names[0] for column in dates)]
    values = to_float32(expanded[columns].apply(pd.to_numeric, errors="coerce"))
    is_present = frame[[*numbers, *(column.name for column in dates)]].notna().to_numpy(dtype=np.bool_)
    messages = [f"{shorten(name)}: no number" for name in numbers]
    messages += [f"{shorten(column.name)}: no date in the format {column.format}" for column in dates]
    is_invalid = is_present & ~np.isfinite(values)
    return [", ".join(messages[column] for column in np.flatnonzero(row)) for row in is_invalid]


def _encode_groups(frame: pd.DataFrame, group: str | None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the group codes int64 [N] and remarks; a row without a group is a group of its own."""
    if group is None:
        return np.arange(len(frame), dtype=np.int64), ()
    codes = pd.factorize(frame[group])[0].astype(np.int64)
    ungrouped = np.flatnonzero(codes < 0)
    codes[ungrouped] = len(frame) + ungrouped
    note = f"rows without {shorten(group)}, each a group of its own: {len(ungrouped)}"
    return codes, (note,) if len(ungrouped) else ()


def _make_table(
    frame: pd.DataFrame, feature_names: Sequence[str], dataset: TableFile, dates: Sequence[DateColumn]
) -> Table:
    if not feature_names:
        raise DataError(f"{dataset.file}: no column is left to learn from")
    categories = [name for name in feature_names if name in dataset.categories or not is_numeric_column(frame[name])]
    numbers = [name for name in feature_names if name not in categories]
    codes, levels = _encode_categories(frame[list(categories)])
    used_dates = tuple(column for column in dates if set(column.number_names) & set(numbers))
    return Table(to_float32(frame[numbers]), tuple(numbers), codes, tuple(categories), levels, used_dates)


def _encode_categories(frame: pd.DataFrame) -> tuple[NDArray[np.int64], tuple[tuple[str, ...], ...]]:
    """Return int64 [N, C] indices into each column's sorted levels, -1 for an empty cell, and the levels."""
    codes = np.full(frame.shape, -1, dtype=np.int64)
    levels = []
    for column, (_, cells) in enumerate(frame.items()):
        codes[:, column], names = pd.factorize(cells.map(format_level, na_action="ignore"), sort=True)
        levels.append(tuple(map(str, names)))
    return codes, tuple(levels)


def _make_notes(table: Table, constant_names: Sequence[str]) -> tuple[str, ...]:
    notes = [f"left out, the same in every row: {join_names(constant_names)}"] if constant_names else []
    if missing_counts := _format_missing_counts(table.number_names, np.isnan(table.numbers)):
        notes.append(f"missing numbers, replaced by the training rows' median and flagged: {missing_counts}")
    if missing_counts := _format_missing_counts(table.category_names, table.codes < 0):
        notes.append(f"missing categories, each counted as a category of its own: {missing_counts}")
    return tuple(notes)


def _format_missing_counts(names: Sequence[str], missing: NDArray[np.bool_]) -> str:
    """Format the columns with missing cells and their counts."""
    counts = zip(names, missing.sum(axis=0), strict=True)
    return ", ".join(f"{shorten(name)} in {count} rows" for name, count in counts if count)
