"""Load images listed in a CSV file: `path`, then a 0/1 column for each label or one number, optionally `split`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.config.datasets import LabeledImages, TargetKind
from pipeline.config.target_summary import TargetSummary, summarize_classes
from pipeline.data.examples import DataError, Examples
from pipeline.data.images.decoded_cache import decode_images
from pipeline.data.sources.table_files import read_csv_as_text
from pipeline.runtime.text import escape_unprintable, join_names, pluralize, quote_cell, shorten

Values = NDArray[np.float32]
Targets = Values | NDArray[np.int64]
SPLITS = ("train", "test")
MAX_MISTAKE_LINES = 100
MAX_WRONG_CELLS = 5


def load_labelled_csv(dataset: LabeledImages, target_kind: TargetKind, cache: Path) -> Examples:
    """Load the images that the file lists with their labels or numbers.

    One 0/1 column can also be loaded as two classes. Raises DataError with all mistakes of the file.
    """
    frame = read_csv_as_text(dataset.file, "dataset.file")
    root = dataset.file.parent
    if "path" not in frame:
        raise DataError(f"dataset.file: a column path; got {join_names(frame.columns)} in {dataset.file}")
    columns = [name for name in frame.columns if name not in ("path", "split")]
    values, mistakes = _parse_values(frame, columns, target_kind)
    if mistakes := _find_path_mistakes(frame["path"], root) + _find_split_mistakes(frame) + mistakes:
        raise DataError(_format_mistakes(dataset.file, mistakes))
    paths = [root / path for path in frame["path"]]
    decoded = decode_images(paths, root, dataset.size, cache, skip_bad=dataset.skip_bad)
    test_mask = (frame["split"] == "test").to_numpy() if "split" in frame else np.zeros(len(frame), dtype=np.bool_)
    targets, classes = _make_targets(values[decoded.path_indices], columns, target_kind)
    return Examples(
        inputs=decoded.images,
        targets=targets,
        target_kind=target_kind,
        names=tuple(escape_unprintable(str(frame["path"].iloc[row])) for row in decoded.path_indices),
        groups=decoded.groups,
        test_mask=test_mask[decoded.path_indices],
        classes=classes,
        notes=decoded.notes,
    ).with_fingerprint()


def inspect_labelled_csv(dataset: LabeledImages) -> TargetSummary:
    """Return what the columns beside path and split hold; raises DataError if the file cannot be read."""
    frame = read_csv_as_text(dataset.file, "dataset.file")
    columns = [name for name in frame.columns if name not in ("path", "split")]
    if len(columns) != 1:
        return TargetSummary(f"{join_names(columns)} are {len(columns)} labels of 0 or 1", ("sigmoids",))
    name = shorten(columns[0])
    values = set(pd.to_numeric(frame[columns[0]], errors="coerce"))
    if values <= {0, 1}:
        return summarize_classes(name, ("0", "1"), "number")
    return TargetSummary(f"{name} is a number", ("number",), any(value < 0 for value in values))


def _parse_values(frame: pd.DataFrame, columns: list[str], target_kind: TargetKind) -> tuple[Values, list[str]]:
    """Return float32 [N, columns], and a message for each cell or column that does not fit the head."""
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, and is refused below
        numbers = frame[columns].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float32, na_value=np.nan)
    if not columns:
        return numbers, ["a column for each label, or one with a number; got only path"]
    if target_kind != "labels" and len(columns) != 1:
        rule = "one column beside path and split for this head"
        return numbers, [f"{rule}; got {join_names(columns)} (for labels: head=sigmoids)"]
    allowed = np.isfinite(numbers) if target_kind == "numbers" else np.isin(numbers, (0, 1))
    rule = "a number" if target_kind == "numbers" else "0 or 1"
    found = zip(columns, numbers.T, allowed.T, strict=True)
    return numbers, [line for name, column, ok in found for line in _find_cell_mistakes(frame[name], column, ok, rule)]


def _find_cell_mistakes(cells: pd.Series[str], numbers: Values, allowed: NDArray[np.bool_], rule: str) -> list[str]:
    """Return a message for each invalid cell, or one for the column if all cells are invalid or equal."""
    name = shorten(str(cells.name))
    first = quote_cell(cells.iloc[0])
    if len(cells) > MAX_WRONG_CELLS and not allowed.any():
        return [f"{name}: {rule} in every row; got none, but {first} in line 2: fix or remove the column"]
    if len(cells) > 1 and allowed.all() and (numbers == numbers[0]).all():
        return [f"{name}: not the same in every row, or nothing can be learned; got {first}: remove the column"]
    return [f"line {row + 2}, {name}: {rule}; got {quote_cell(cells.iloc[row])}" for row in np.flatnonzero(~allowed)]


def _find_path_mistakes(paths: pd.Series[str], root: Path) -> list[str]:
    """Return a message for each path that leaves the folder, does not exist, or occurs twice."""
    mistakes = []
    previous_paths = set()
    for line, name in enumerate(paths, start=2):
        path = Path(name)
        if not name.strip() or "\0" in name:
            mistakes.append(f"line {line}, path: the name of an image; got {quote_cell(name)}")
        elif path.is_absolute() or ".." in path.parts:
            mistakes.append(f"line {line}, path: inside the folder of the file; got {shorten(name)}")
        elif not os.path.lexists(root / path):  # Path.exists raises for a name too long for the file system
            mistakes.append(f"line {line}, path: no such file: {shorten(name)}")
        elif path in previous_paths:
            mistakes.append(f"line {line}, path: each image is listed once; got {shorten(name)} again")
        previous_paths.add(path)
    return mistakes


def _find_split_mistakes(frame: pd.DataFrame) -> list[str]:
    """Return a message for each invalid split, or one if no row is in the training part."""
    if "split" not in frame:
        return []
    invalid = [(line, cell) for line, cell in enumerate(frame["split"], start=2) if cell not in SPLITS]
    if not invalid and "train" not in set(frame["split"]):
        return ["split: train for some rows; got test in every row"]
    return [f"line {line}, split: train or test; got {quote_cell(cell)}" for line, cell in invalid]


def _make_targets(values: Values, columns: list[str], target_kind: TargetKind) -> tuple[Targets, tuple[str, ...]]:
    names = tuple(map(escape_unprintable, columns))
    if target_kind == "labels":
        return values, names
    if target_kind == "numbers":
        return values[:, 0], ()
    return values[:, 0].astype(np.int64), (f"not {names[0]}", names[0])


def _format_mistakes(file: Path, mistakes: Sequence[str]) -> str:
    """Format the mistakes, at most the first MAX_MISTAKE_LINES: more are likely to have one cause."""
    lines = [f"dataset.file: {file} has {pluralize(len(mistakes), 'mistake')}:"]
    lines += [f"  {line}" for line in mistakes[:MAX_MISTAKE_LINES]]
    if (more := len(mistakes) - MAX_MISTAKE_LINES) > 0:
        lines.append(f"  and {more} more")
    return "\n".join(lines)
