"""Find image files by their suffixes, in a folder and below it."""

import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.data.images.safe_open import IMAGE_SUFFIXES, UNSUPPORTED_SUFFIXES


def is_image_file(path: Path) -> bool:
    """Return whether a file has the suffix of an image format, supported or not."""
    return path.suffix.lower() in IMAGE_SUFFIXES | UNSUPPORTED_SUFFIXES


def expand_folders(paths: Iterable[Path]) -> list[Path]:
    """Replace each folder by the sorted images in it and below; keep files as they are."""
    return [file for path in paths for file in (find_images(path) if path.is_dir() else [path])]


def find_images(folder: Path) -> list[Path]:
    """List the images in a folder and below it, sorted; hidden folders and links to folders are skipped.

    A folder that cannot be listed is in the list itself, so that it is reported as unreadable.
    """
    return _walk_images(folder)[0]


def count_other_files(folder: Path) -> int:
    """Count the visible files in a folder and below it that are not images by their suffixes."""
    return _walk_images(folder)[1]


def _walk_images(folder: Path) -> tuple[list[Path], int]:
    """Return the sorted images below a folder, and the number of other visible files."""
    unlistable: list[Path] = []
    images = []
    other_count = 0
    for parent, folders, files in os.walk(folder, onerror=lambda error: unlistable.append(Path(error.filename))):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        visible = [path for name in files if not (path := Path(parent, name)).name.startswith(".")]
        images += [path for path in visible if is_image_file(path)]
        other_count += sum(not is_image_file(path) for path in visible)
    return sorted(images + unlistable), other_count
