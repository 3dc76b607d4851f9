"""Which files are pictures: by their names, in a folder and below it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.data.images.safe_open import IMAGE_SUFFIXES, UNSUPPORTED_SUFFIXES


def is_image_file(path: Path) -> bool:
    """Whether a file's name says that it is a picture, read by us or not."""
    return path.suffix.lower() in IMAGE_SUFFIXES | UNSUPPORTED_SUFFIXES


def expand_folders(paths: Iterable[Path]) -> list[Path]:
    """The files themselves, and for a folder the pictures in it and below, in order."""
    return [file for path in paths for file in (find_images(path) if path.is_dir() else [path])]


def find_images(folder: Path) -> list[Path]:
    """The pictures in a folder and below it, in order; not in hidden folders, nor behind links to folders.

    A folder that may not be listed stands for itself, so that it is said and not passed over.
    """
    return _walk_images(folder)[0]


def count_other_files(folder: Path) -> int:
    """How many files in a folder and below it are no pictures, by their names; hidden ones are not counted."""
    return _walk_images(folder)[1]


def _walk_images(folder: Path) -> tuple[list[Path], int]:
    """The pictures, and how many other files there are beside them."""
    unlistable: list[Path] = []
    images = []
    other_count = 0
    for parent, folders, files in os.walk(folder, onerror=lambda error: unlistable.append(Path(error.filename))):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        visible = [path for name in files if not (path := Path(parent, name)).name.startswith(".")]
        images += [path for path in visible if is_image_file(path)]
        other_count += sum(not is_image_file(path) for path in visible)
    return sorted(images + unlistable), other_count
