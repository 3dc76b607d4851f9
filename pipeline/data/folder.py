"""A folder of photographs: `train/<class>/` and `test/<class>/`, or just `<class>/`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.config.datasets import Folder
from pipeline.data.examples import DataError, Examples
from pipeline.data.pictures import decode_all, pictures_below, printable


def load(dataset: Folder, cache: Path) -> Examples:
    """Every picture of every class folder; stray files beside the class folders are passed over.

    Raises DataError where a class is empty or missing from training, there is only one, or pictures cannot be read.
    """
    root = dataset.root
    train = root / "train" if (root / "train").is_dir() else root
    classes = _class_names(train)
    if len(classes) < 2:
        found = ", ".join(classes) or "none"
        raise DataError(f"dataset.root: a folder for each of at least two classes; got {found} in {train}")
    files = _files(train, classes)
    tested = _files(root / "test", _test_classes(root, classes)) if train != root else []
    paths = [path for path, _ in files + tested]
    decoded = decode_all(paths, root, dataset.size, cache, skip_bad=dataset.skip_bad)
    codes = np.array([classes.index(name) for _, name in files + tested], dtype=np.int64)
    return Examples(
        inputs=decoded.pictures,
        targets=codes[decoded.kept],
        kind="classes",
        names=tuple(str(paths[row].relative_to(root)) for row in decoded.kept),
        groups=decoded.groups,
        test=(np.arange(len(paths)) >= len(files))[decoded.kept],
        classes=tuple(map(printable, classes)),
        notes=decoded.notes,
    ).with_fingerprint()


def _class_names(folder: Path) -> list[str]:
    """The folders' names; a hidden one is no class."""
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _test_classes(root: Path, classes: list[str]) -> list[str]:
    found = _class_names(root / "test")
    if strange := sorted(set(found) - set(classes)):
        raise DataError(f"dataset.root: every class of test/ is in train/ too; only in test/: {', '.join(strange)}")
    return found


def _files(folder: Path, classes: list[str]) -> list[tuple[Path, str]]:
    files = [(path, name) for name in classes for path in pictures_below(folder / name)]
    if empty := sorted(set(classes) - {name for _, name in files}):
        folders = ", ".join(str(folder / name) for name in empty)
        raise DataError(f"dataset.root: no picture in {folders}; a class without one is no class: fill or remove it")
    return files
