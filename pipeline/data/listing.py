"""Which files are pictures: by their names, in a folder and below it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.data.opening import OTHER_SUFFIXES, SUFFIXES


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
    closed: list[Path] = []
    found = []
    for parent, folders, files in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [path for name in files if is_picture(path := Path(parent, name)) and not name.startswith(".")]
    return sorted(found + closed)
