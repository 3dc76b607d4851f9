"""A folder of photographs: `train/<class>/` and `test/<class>/`, or just `<class>/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.datasets import Folder
from pipeline.data.examples import DataError, Examples
from pipeline.data.images.decoded_cache import decode_all
from pipeline.data.images.discovery import is_picture, pictures_below
from pipeline.runtime.text import printable

PARTS = ("train", "test")
EXAMPLES = ("cat", "dog")
Files = list[tuple[Path, str]]


def load(dataset: Folder, cache: Path) -> Examples:
    """Every picture of every class folder; stray files beside the class folders are passed over.

    Raises DataError where a class is empty or missing from training, there is only one, or pictures cannot be read.
    """
    root = dataset.root
    has_parts = (root / "train").is_dir()
    _check_parts(root, has_parts)
    train = root / "train" if has_parts else root
    classes = _class_names(train)
    if len(classes) < 2:
        raise DataError(_wrong_layout(train, classes))
    tested = _class_names(root / "test") if has_parts else []
    _check_classes(train, classes, root / "test", tested)
    files, test_files = _files(train, classes), _files(root / "test", tested)
    paths = [path for path, _ in files + test_files]
    decoded = decode_all(paths, root, dataset.size, cache, skip_bad=dataset.skip_bad)
    codes = np.array([classes.index(name) for _, name in files + test_files], dtype=np.int64)[decoded.kept]
    test = decoded.kept >= len(files)
    _check_left(classes, codes[~test])
    return Examples(
        inputs=decoded.pictures,
        targets=codes,
        kind="classes",
        names=tuple(printable(str(paths[row].relative_to(root))) for row in decoded.kept),
        groups=decoded.groups,
        test=test,
        classes=tuple(map(printable, classes)),
        notes=(*decoded.notes, *_unused(root, has_parts)),
    ).with_fingerprint()


def _class_names(folder: Path) -> list[str]:
    """The folders' names; a hidden one is no class."""
    if not folder.is_dir():
        return []
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"dataset.root: a folder that can be listed; got {folder}: {error.strerror}") from None


def _check_parts(root: Path, has_parts: bool) -> None:
    """A folder that is nearly train/ or test/ would silently become a class."""
    near = [name for name in _class_names(root) if name.lower() in PARTS]
    if near and not has_parts:
        rule = "train/<class>/ and test/<class>/, written so and train/ among them, or just <class>/"
        raise DataError(f"dataset.root: {rule}; got {_said(near)} in {root}")


def _wrong_layout(folder: Path, classes: Sequence[str]) -> str:
    """What was found instead of classes, and what is looked for."""
    loose = sum(is_picture(file) for file in folder.iterdir()) if folder.is_dir() else 0
    found = f"{_said(classes) or 'none'} in {folder}"
    found += f", and {loose} pictures in no such folder" if loose else ""
    names = [*classes, *(name for name in EXAMPLES if name not in classes)][:2]
    example = " and ".join(printable(str(folder / name / "1.jpg")) for name in names)
    rule = "a folder for each of at least two classes, <root>/<class>/<picture>.jpg"
    return f"dataset.root: {rule}; got {found}; put them so: {example}"


def _check_classes(train: Path, classes: Sequence[str], test: Path, tested: Sequence[str]) -> None:
    """Every class folder is a real folder with pictures in it, and every class of the test part is trained."""
    folders = [*(train / name for name in classes), *(test / name for name in tested)]
    mistakes = []
    if strange := [name for name in tested if name not in classes]:
        mistakes.append(f"every class of test/ is in train/ too; only in test/: {_said(strange)}")
    if links := [str(folder) for folder in folders if folder.is_symlink()]:
        mistakes.append(f"links to folders are not followed; put the folder itself in place of {_said(links)}")
    if empty := [str(folder) for folder in folders if not folder.is_symlink() and not pictures_below(folder)]:
        mistakes.append(f"no picture in {_said(empty)}; a class without one is no class: fill or remove it")
    if mistakes:
        raise DataError("\n".join(f"dataset.root: {line}" for line in mistakes))


def _files(folder: Path, classes: Sequence[str]) -> Files:
    return [(path, name) for name in classes for path in pictures_below(folder / name)]


def _check_left(classes: Sequence[str], codes: NDArray[np.int64]) -> None:
    """Leaving out bad files may not leave out a whole class."""
    if lost := [name for code, name in enumerate(classes) if code not in codes]:
        raise DataError(f"dataset.root: no picture for training can be read of {_said(lost)}; mend or remove the class")


def _unused(root: Path, has_parts: bool) -> tuple[str, ...]:
    beside = [f"{name}/" for name in _class_names(root) if name not in PARTS] if has_parts else []
    return (f"not used, beside train/ and test/: {_said(beside)}",) if beside else ()


def _said(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names))
