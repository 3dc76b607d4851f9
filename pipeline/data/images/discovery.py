"""Which files are pictures: by their names, in a folder and below it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.data.images.safe_open import OTHER_SUFFIXES, SUFFIXES


def is_picture(path: Path) -> bool:
    """Whether a file's name says that it is a picture, read by us or not."""
    return path.suffix.lower() in SUFFIXES | OTHER_SUFFIXES


def listed(paths: Iterable[Path]) -> list[Path]:
    """The files themselves, and for a folder the pictures in it and below, in order."""
    return [file for path in paths for file in (pictures_below(path) if path.is_dir() else [path])]


def pictures_below(folder: Path) -> list[Path]:
    """The pictures in a folder and below it, in order; not in hidden folders, nor behind links to folders.

    A folder that may not be listed stands for itself, so that it is said and not passed over.
    """
    return _walked(folder)[0]


def others_below(folder: Path) -> int:
    """How many files in a folder and below it are no pictures, by their names; hidden ones are not counted."""
    return _walked(folder)[1]


def _walked(folder: Path) -> tuple[list[Path], int]:
    """The pictures, and how many other files there are beside them."""
    closed: list[Path] = []
    found, others = [], 0
    for parent, folders, files in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        seen = [path for name in files if not (path := Path(parent, name)).name.startswith(".")]
        found += [path for path in seen if is_picture(path)]
        others += sum(not is_picture(path) for path in seen)
    return sorted(found + closed), others
