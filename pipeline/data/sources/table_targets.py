"""Check and encode the targets of a table: one column of classes or numbers, or several columns of 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.config.datasets import TableFile, TargetKind
from pipeline.config.target_summary import TargetSummary, summarize_classes
from pipeline.data.examples import DataError
from pipeline.data.sources.table_checks import MIN_NUMERIC_SHARE, find_name_mistakes, format_row_numbers
from pipeline.data.sources.table_files import format_level, is_numeric_column, read_frame, to_float32
from pipeline.runtime.text import MAX_NAME_CHARS, escape_unprintable, join_names, quote_cell, shorten

MAX_CLASS_NUMBERS = 10  # different whole numbers that count as classes
MIN_CLASS_ROWS = 10  # of each of them: a number in fewer rows is more likely an amount


def inspect_table(dataset: TableFile) -> TargetSummary:
    """Return what the target columns hold, reading no other column of a CSV file; raises DataError if unusable."""
    if mistakes := find_name_mistakes(dataset, list(read_frame(dataset.file, n_rows=1).columns)):
        raise DataError("\n".join(mistakes))
    frame = read_frame(dataset.file, columns=dataset.target_names)
    if dataset.target is None:
        names = join_names(dataset.targets)
        _raise_mistakes(frame, "labels", dataset)
        return TargetSummary(f"{names} are {len(dataset.targets)} labels of 0 or 1", ("sigmoids",))
    column = frame[dataset.target]
    if not _is_numeric(column):
        return _summarize_texts(column, dataset)
    _raise_mistakes(frame, "numbers", dataset)
    return _summarize_numbers(pd.to_numeric(column))


def _raise_mistakes(frame: pd.DataFrame, target_kind: TargetKind, dataset: TableFile) -> None:
    if mistakes := find_target_mistakes(frame, target_kind, dataset):
        raise DataError("\n".join(mistakes))


def _is_numeric(column: pd.Series[Any]) -> bool:
    """Return whether a column has numbers, or text of which nearly all are numbers, so that the others are slips."""
    if is_numeric_column(column):
        return True
    return bool(pd.to_numeric(column.dropna().map(str), errors="coerce").notna().mean() >= MIN_NUMERIC_SHARE)


def _summarize_texts(column: pd.Series[Any], dataset: TableFile) -> TargetSummary:
    name = shorten(str(column.name))
    levels = sorted(column.dropna().map(format_level).unique())
    if len(levels) > len(column) / 2:
        rule = f"a few classes, or a number; {name} has {len(levels)} different texts in {len(column)} rows"
        raise DataError(f"dataset.target: {rule}: name another column")
    _raise_mistakes(column.to_frame(), "classes", dataset)
    return summarize_classes(name, levels)


def _summarize_numbers(column: pd.Series[Any]) -> TargetSummary:
    """Return the summary of finite numbers: two different ones are classes, and so are a few frequent whole ones."""
    name = shorten(str(column.name))
    counts = column.value_counts().sort_index()
    levels = [format_level(value) for value in counts.index]
    has_whole = all(float(value).is_integer() for value in counts.index[: MAX_CLASS_NUMBERS + 1])
    if len(levels) == 2:
        return summarize_classes(name, levels, "number")
    if len(levels) > MAX_CLASS_NUMBERS or not has_whole:
        return TargetSummary(f"{name} is a number", ("number",), bool(column.min() < 0))
    if counts.min() >= MIN_CLASS_ROWS:
        return TargetSummary(f"{name} has {len(levels)} whole numbers, taken as classes", ("softmax", "number"))
    return TargetSummary(f"{name} is a number", ("number", "softmax"), bool(column.min() < 0))


def find_target_mistakes(frame: pd.DataFrame, target_kind: TargetKind, dataset: TableFile) -> list[str]:
    """Return a message for each target that has not a value of that kind in every row, and two different ones."""
    find_mistakes = {"numbers": _find_number_mistake, "classes": _find_class_mistake, "labels": _find_label_mistake}
    key = "targets" if dataset.targets else "target"
    found = [(name, find_mistakes[target_kind](frame[name])) for name in dataset.target_names]
    return [f"dataset.{key}: {shorten(name)} {mistake}" for name, mistake in found if mistake]


def encode_targets(
    frame: pd.DataFrame, target_kind: TargetKind, names: Sequence[str]
) -> tuple[NDArray[np.float32] | NDArray[np.int64], list[str]]:
    """Return checked targets as `Examples` has them, and the names of the classes or labels."""
    if target_kind == "classes":
        codes, levels = pd.factorize(frame[names[0]].map(format_level), sort=True)
        return codes.astype(np.int64), [escape_unprintable(str(name)) for name in levels]
    values = to_float32(frame[list(names)].apply(pd.to_numeric))
    return (values[:, 0], []) if target_kind == "numbers" else (values, list(map(escape_unprintable, names)))


def _find_number_mistake(target: pd.Series[Any]) -> str | None:
    values = to_float32(pd.to_numeric(target, errors="coerce").to_frame())[:, 0]
    if (is_invalid := ~np.isfinite(values)).all():
        return "is a number for this head; got none (head=softmax)"
    if is_invalid.any():
        found = format_row_numbers(is_invalid)
        return f"is a finite number in every row; not so in {found}: fix or remove those rows"
    if (values == values[0]).all():
        return f"differs between the rows; got {values[0]:g} in every one of {len(values)}: name another column"
    return None


def _find_class_mistake(target: pd.Series[Any]) -> str | None:
    if (is_missing := target.isna().to_numpy()).any():
        return f"has a value in every row; missing in {format_row_numbers(is_missing)}: fill or remove those rows"
    levels = target.map(format_level).unique()
    if len(levels) == 1:
        found = quote_cell(levels[0])
        return f"has at least two classes; got {found} in every one of {len(target)} rows: name another column"
    if len(levels) > len(target) / 2:
        return f"has a few classes for this head; got {len(levels)} in {len(target)} rows (head=number)"
    if too_long := [name for name in levels if len(name) > MAX_NAME_CHARS]:
        return f"has classes of at most {MAX_NAME_CHARS:,} characters; got {quote_cell(too_long[0])}: shorten it"
    return None


def _find_label_mistake(target: pd.Series[Any]) -> str | None:
    values = to_float32(pd.to_numeric(target, errors="coerce").to_frame())[:, 0]
    if (is_invalid := ~np.isin(values, (0, 1))).any():
        first = quote_cell(str(target[is_invalid].iloc[0]))
        return f"is 0 or 1 in every row; not so in {format_row_numbers(is_invalid)}: got {first}; fix those rows"
    if (values == values[0]).all():
        return f"differs between the rows; got {values[0]:g} in every one of {len(values)}: leave it out"
    return None
