"""A CSV file of pictures: `path`, then a 0/1 column for each label or one number, optionally `split`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.config.datasets import Labels
from pipeline.data.examples import DataError, Examples, TargetKind
from pipeline.data.pictures import decode_all, printable
from pipeline.data.table import read_text

SPLITS = {"train", "test"}


def load(dataset: Labels, wants: TargetKind, cache: Path) -> Examples:
    """The pictures that the file names, and their labels or numbers.

    One 0/1 column may also be asked for as two classes. Raises DataError with everything that is wrong with the file.
    """
    frame, root = read_text(dataset.file, "dataset.file"), dataset.file.parent
    if "path" not in frame:
        raise DataError(f"dataset.file: a column path; got {', '.join(frame.columns)}")
    columns = [name for name in frame.columns if name not in ("path", "split")]
    values, mistakes = _values(frame, columns, wants)
    mistakes = _paths(frame["path"], root) + _splits(frame) + mistakes
    if mistakes:
        raise DataError(f"{dataset.file}: {len(mistakes)} mistakes:\n" + "\n".join(f"  {line}" for line in mistakes))
    paths = [root / path for path in frame["path"]]
    decoded = decode_all(paths, root, dataset.size, cache, skip_bad=dataset.skip_bad)
    test = (frame["split"] == "test").to_numpy() if "split" in frame else np.zeros(len(frame), dtype=np.bool_)
    targets, classes = _targets(values[decoded.kept], columns, wants)
    return Examples(
        inputs=decoded.pictures,
        targets=targets,
        kind=wants,
        names=tuple(str(frame["path"].iloc[row]) for row in decoded.kept),
        groups=decoded.groups,
        test=test[decoded.kept],
        classes=classes,
        notes=decoded.notes,
    ).with_fingerprint()


def _values(frame: pd.DataFrame, columns: list[str], wants: TargetKind) -> tuple[NDArray[np.float32], list[str]]:
    """float32 [N, columns], and a line for each cell that is not what the head needs."""
    numbers = frame[columns].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float32, na_value=np.nan)
    mistakes = []
    if not columns:
        mistakes.append("a column for each label, or one with a number; got only path")
    elif wants != "labels" and len(columns) != 1:
        found = ", ".join(columns)
        mistakes.append(f"one column beside path and split for this head; got {found} (for labels: head=sigmoids)")
    allowed = np.isfinite(numbers) if wants == "numbers" else np.isin(numbers, (0, 1))
    rule = "a number" if wants == "numbers" else "0 or 1"
    for row, column in np.argwhere(~allowed):
        cell = printable(str(frame[columns[column]].iloc[row]))[:40]
        mistakes.append(f"line {row + 2}, {columns[column]}: {rule}; got {cell!r}")
    return numbers, mistakes


def _paths(paths: pd.Series[str], root: Path) -> list[str]:
    """A line for each path that leaves the folder, is not there, or stands twice."""
    mistakes, seen = [], set()
    for line, name in enumerate(paths, start=2):
        shown = printable(str(name))[:100]
        if Path(name).is_absolute() or ".." in Path(name).parts:
            mistakes.append(f"line {line}, path: inside the folder of the file; got {shown}")
        elif not (root / name).exists():
            mistakes.append(f"line {line}, path: no such file: {shown}")
        elif name in seen:
            mistakes.append(f"line {line}, path: each picture stands once; got {shown} again")
        seen.add(name)
    return mistakes


def _splits(frame: pd.DataFrame) -> list[str]:
    if "split" not in frame:
        return []
    odd = [(line, word) for line, word in enumerate(frame["split"], start=2) if word not in SPLITS]
    return [f"line {line}, split: train or test; got {printable(str(word))[:40]!r}" for line, word in odd]


def _targets(
    values: NDArray[np.float32], columns: list[str], wants: TargetKind
) -> tuple[NDArray[np.float32] | NDArray[np.int64], tuple[str, ...]]:
    names = tuple(map(printable, columns))
    if wants == "labels":
        return values, names
    if wants == "numbers":
        return values[:, 0], ()
    return values[:, 0].astype(np.int64), (f"not {names[0]}", names[0])
