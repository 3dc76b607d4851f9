"""Load a folder of images: `train/<class>/` and `test/<class>/`, or just `<class>/`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.config.datasets import ImageFolder, TargetKind
from pipeline.config.target_summary import TargetSummary, summarize_classes
from pipeline.data.examples import DataError, Examples
from pipeline.data.images.decoded_cache import decode_images
from pipeline.data.images.discovery import find_images, is_image_file
from pipeline.runtime.text import escape_unprintable, shorten

SPLIT_FOLDERS = ("train", "test")
EXAMPLE_CLASSES = ("cat", "dog")


def load_image_folder(dataset: ImageFolder, _target_kind: TargetKind, cache: Path) -> Examples:
    """Load every image of every class folder; files beside the class folders are ignored.

    Raises DataError if a class is empty or missing from training, there is only one class, or images cannot be decoded.
    """
    root = dataset.root
    train, classes = _find_classes(root)
    has_split_folders = train != root
    test_classes = _list_class_names(root / "test") if has_split_folders else []
    _check_class_folders(train, classes, root / "test", test_classes)
    files = [(path, name) for name in classes for path in find_images(train / name)]
    test_files = [(path, name) for name in test_classes for path in find_images(root / "test" / name)]
    paths = [path for path, _ in files + test_files]
    decoded = decode_images(paths, root, dataset.size, cache, skip_bad=dataset.skip_bad)
    codes = np.array([classes.index(name) for _, name in files + test_files], dtype=np.int64)[decoded.path_indices]
    test_mask = decoded.path_indices >= len(files)
    if unreadable := [name for code, name in enumerate(classes) if code not in codes[~test_mask]]:
        names = _join_names(unreadable)
        raise DataError(f"dataset.root: no training image can be read of class {names}; fix or remove the class")
    unused = [f"{name}/" for name in _list_class_names(root) if name not in SPLIT_FOLDERS and has_split_folders]
    notes = (f"not used, beside train/ and test/: {_join_names(unused)}",) if unused else ()
    return Examples(
        inputs=decoded.images,
        targets=codes,
        target_kind="classes",
        names=tuple(escape_unprintable(str(paths[row].relative_to(root))) for row in decoded.path_indices),
        groups=decoded.groups,
        test_mask=test_mask,
        classes=tuple(map(escape_unprintable, classes)),
        notes=decoded.notes + notes,
    ).with_fingerprint()


def inspect_image_folder(dataset: ImageFolder) -> TargetSummary:
    """Return the classes of a folder of images; raises DataError if there are not two of them."""
    _, classes = _find_classes(dataset.root)
    return summarize_classes(shorten(str(dataset.root)), classes)


def _find_classes(root: Path) -> tuple[Path, list[str]]:
    """Return the folder of the training images, and its classes; raises DataError if there are not two of them."""
    has_split_folders = (root / "train").is_dir()
    _check_split_folders(root, has_split_folders)
    train = root / "train" if has_split_folders else root
    classes = _list_class_names(train)
    if len(classes) < 2:
        raise DataError(_wrong_layout_message(train, classes))
    return train, classes


def _list_class_names(folder: Path) -> list[str]:
    """List the class names: the visible subfolders."""
    if not folder.is_dir():
        return []
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"dataset.root: a folder that can be listed; got {folder}: {error.strerror}") from None


def _check_split_folders(root: Path, has_split_folders: bool) -> None:
    """Raise DataError for a folder such as Train/ or test/ without train/, which would silently become a class."""
    near_matches = [name for name in _list_class_names(root) if name.lower() in SPLIT_FOLDERS]
    if near_matches and not has_split_folders:
        rule = "train/<class>/ and test/<class>/, written so and train/ among them, or just <class>/"
        raise DataError(f"dataset.root: {rule}; got {_join_names(near_matches)} in {root}")


def _wrong_layout_message(folder: Path, classes: Sequence[str]) -> str:
    """Format the message for a root without two class folders: the rule, what it contains, an example."""
    n_images = sum(is_image_file(file) for file in folder.iterdir()) if folder.is_dir() else 0
    found = f"{_join_names(classes) or 'none'} in {folder}"
    found += f", and {n_images} images in no such folder" if n_images else ""
    names = [*classes, *(name for name in EXAMPLE_CLASSES if name not in classes)][:2]
    example = " and ".join(escape_unprintable(str(folder / name / "1.jpg")) for name in names)
    rule = "a folder for each of at least two classes, <root>/<class>/<image>.jpg"
    return f"dataset.root: {rule}; got {found}; put them so: {example}"


def _check_class_folders(train: Path, classes: Sequence[str], test: Path, test_classes: Sequence[str]) -> None:
    """Raise DataError unless each class folder is a real folder with images and each test class is in train/."""
    folders = [*(train / name for name in classes), *(test / name for name in test_classes)]
    mistakes = []
    if unknown_classes := [name for name in test_classes if name not in classes]:
        mistakes.append(f"every class of test/ is in train/ too; only in test/: {_join_names(unknown_classes)}")
    if links := [str(folder) for folder in folders if folder.is_symlink()]:
        mistakes.append(f"links to folders are not followed; put the folder itself in place of {_join_names(links)}")
    if empty := [str(folder) for folder in folders if not folder.is_symlink() and not find_images(folder)]:
        mistakes.append(f"no image in {_join_names(empty)}; each class needs images: fill or remove it")
    if mistakes:
        raise DataError("\n".join(f"dataset.root: {line}" for line in mistakes))


def _join_names(names: Sequence[str]) -> str:
    return ", ".join(map(escape_unprintable, names))
