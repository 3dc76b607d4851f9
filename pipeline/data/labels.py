"""A CSV file of pictures: `path`, then a 0/1 column for each label or one number, optionally `split`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.config.datasets import Labels
from pipeline.data.decoded import decode_all
from pipeline.data.examples import DataError, Examples, TargetKind
from pipeline.data.names import printable
from pipeline.data.table import read_text

SPLITS = ("train", "test")
LONGEST_CELL, LONGEST_PATH, MOST_LINES = 40, 100, 100


def load(dataset: Labels, wants: TargetKind, cache: Path) -> Examples:
    """The pictures that the file names, and their labels or numbers.

    One 0/1 column may also be asked for as two classes. Raises DataError with everything that is wrong with the file.
    """
    frame, root = read_text(dataset.file, "dataset.file"), dataset.file.parent
    if "path" not in frame:
        raise DataError(f"dataset.file: a column path; got {_said(list(frame.columns))} in {dataset.file}")
    columns = [name for name in frame.columns if name not in ("path", "split")]
    values, mistakes = _values(frame, columns, wants)
    if mistakes := _paths(frame["path"], root) + _splits(frame) + mistakes:
        raise DataError(_all_at_once(dataset.file, mistakes))
    paths = [root / path for path in frame["path"]]
    decoded = decode_all(paths, root, dataset.size, cache, skip_bad=dataset.skip_bad)
    test = (frame["split"] == "test").to_numpy() if "split" in frame else np.zeros(len(frame), dtype=np.bool_)
    targets, classes = _targets(values[decoded.kept], columns, wants)
    return Examples(
        inputs=decoded.pictures,
        targets=targets,
        kind=wants,
        names=tuple(printable(str(frame["path"].iloc[row])) for row in decoded.kept),
        groups=decoded.groups,
        test=test[decoded.kept],
        classes=classes,
        notes=decoded.notes,
    ).with_fingerprint()


def _values(frame: pd.DataFrame, columns: list[str], wants: TargetKind) -> tuple[NDArray[np.float32], list[str]]:
    """float32 [N, columns], and a line for each cell that is not what the head needs."""
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, and is refused below
        numbers = frame[columns].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float32, na_value=np.nan)
    if not columns:
        return numbers, ["a column for each label, or one with a number; got only path"]
    if wants != "labels" and len(columns) != 1:
        found = f"{_said(columns)} (for labels: head=sigmoids)"
        return numbers, [f"one column beside path and split for this head; got {found}"]
    allowed = np.isfinite(numbers) if wants == "numbers" else np.isin(numbers, (0, 1))
    rule = "a number" if wants == "numbers" else "0 or 1"
    mistakes = [
        f"line {row + 2}, {printable(columns[column])}: {rule}; got {_cell(frame[columns[column]].iloc[row])}"
        for row, column in np.argwhere(~allowed)
    ]
    return numbers, mistakes


def _paths(paths: pd.Series[str], root: Path) -> list[str]:
    """A line for each path that leaves the folder, is not there, or stands twice."""
    mistakes, seen = [], set()
    for line, name in enumerate(paths, start=2):
        path, shown = Path(name), printable(name)[:LONGEST_PATH]
        if not name.strip() or "\0" in name:
            mistakes.append(f"line {line}, path: the name of a picture; got {_cell(name)}")
        elif path.is_absolute() or ".." in path.parts:
            mistakes.append(f"line {line}, path: inside the folder of the file; got {shown}")
        elif not _exists(root / path):
            mistakes.append(f"line {line}, path: no such file: {shown}")
        elif path in seen:
            mistakes.append(f"line {line}, path: each picture stands once; got {shown} again")
        seen.add(path)
    return mistakes


def _exists(path: Path) -> bool:
    """Whether there is anything; a name that is too long for the system is not there."""
    try:
        return path.exists() or path.is_symlink()
    except OSError:
        return False


def _splits(frame: pd.DataFrame) -> list[str]:
    """A line for each word that is no part, or one where there is nothing to learn from."""
    if "split" not in frame:
        return []
    odd = [(line, word) for line, word in enumerate(frame["split"], start=2) if word not in SPLITS]
    if not odd and "train" not in set(frame["split"]):
        return ["split: train for some rows; got test in every row"]
    return [f"line {line}, split: train or test; got {_cell(word)}" for line, word in odd]


def _targets(
    values: NDArray[np.float32], columns: list[str], wants: TargetKind
) -> tuple[NDArray[np.float32] | NDArray[np.int64], tuple[str, ...]]:
    names = tuple(map(printable, columns))
    if wants == "labels":
        return values, names
    if wants == "numbers":
        return values[:, 0], ()
    return values[:, 0].astype(np.int64), (f"not {names[0]}", names[0])


def _all_at_once(file: Path, mistakes: Sequence[str]) -> str:
    """Every mistake; of very many the first, since they are likely to have one cause."""
    lines = [f"  {line}" for line in mistakes[:MOST_LINES]]
    if more := len(mistakes) - len(lines):
        lines.append(f"  and {more} more")
    return "\n".join([f"dataset.file: {file} has {len(mistakes)} mistake{'s' * (len(mistakes) != 1)}:", *lines])


def _cell(text: str) -> str:
    return repr(printable(text)[:LONGEST_CELL])


def _said(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names))
