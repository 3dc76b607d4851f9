"""Load the Oxford-IIIT Pets and CIFAR, which are downloaded once and verified by checksum."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.datasets import Cifar, OxfordPets, TargetKind
from pipeline.data.examples import DataError, Examples, Images
from pipeline.data.images.decode import resize_pixels
from pipeline.data.images.decoded_cache import decode_images, format_duplicates_note, group_duplicates
from pipeline.data.sources.fetch import download, extract_archive, has_hash


@dataclass(frozen=True)
class Archive:
    """Archive to download, its hash as pooch writes it, and the folder that it contains."""

    url: str
    known_hash: str
    folder: str

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self.url.rsplit("/", 1)[1]


PETS_URL = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"
PETS_FOLDER = "oxford-iiit-pet"
PETS_ARCHIVES = (
    Archive(PETS_URL + "images.tar.gz", "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c", "images"),
    Archive(PETS_URL + "annotations.tar.gz", "md5:95a8c909bbe2e81eed6a22bccdf3f68f", "annotations"),
)
CIFAR_URL = "https://www.cs.toronto.edu/~kriz/"
CIFAR_10 = Archive(CIFAR_URL + "cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530", "cifar-10-batches-bin")
CIFAR_100 = Archive(CIFAR_URL + "cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8", "cifar-100-binary")
CIFAR_10_CAT = 3  # these three are class numbers of the binary files
CIFAR_100_LION = 43
CIFAR_100_LIZARD = 44


def load_oxford_pets(dataset: OxfordPets, _target_kind: TargetKind, cache: Path) -> Examples:
    """Load the Oxford-IIIT Pet photographs (Parkhi et al. 2012) in their official split.

    subject=breed: the twelve cat breeds; subject=presence: dog or cat. Raises DataError if they are incomplete, or
    missing and cannot be downloaded.
    """
    base = dataset.root / PETS_FOLDER
    _ensure_archives(base, PETS_ARCHIVES, dataset.kind)
    has_breeds = dataset.subject == "breed"
    lines = [(*line, split) for split in ("trainval", "test") for line in _read_annotations(base, split)]
    rows = [(name, species, split) for name, species, split in lines if species == "cat" or not has_breeds]
    labels = [name.rsplit("_", 1)[0] if has_breeds else species for name, species, _ in rows]
    classes = tuple(sorted(set(labels))) if has_breeds else ("dog", "cat")
    paths = [base / "images" / f"{name}.jpg" for name, _, _ in rows]
    if missing := [path for path in paths if not path.is_file()]:
        raise DataError(_incomplete_message(base, f"{len(missing)} images are missing, such as {missing[0].name}"))
    # a few of the archive's files are no JPEG whatever their names say, and a person can do nothing about them
    decoded = decode_images(paths, base / "images", dataset.size, cache, skip_bad=True)
    return Examples(
        inputs=decoded.images,
        targets=np.array([classes.index(label) for label in labels], dtype=np.int64)[decoded.path_indices],
        target_kind="classes",
        names=tuple(paths[row].name for row in decoded.path_indices),
        groups=decoded.groups,
        test_mask=np.array([split == "test" for _, _, split in rows])[decoded.path_indices],
        classes=classes,
        notes=decoded.notes,
    ).with_fingerprint()


def _ensure_archives(folder: Path, archives: Sequence[Archive], kind: str) -> None:
    """Unpack each archive whose folder is missing; download it first unless an intact copy exists."""
    for archive in archives:
        if (folder / archive.folder).is_dir():
            continue
        file = folder / archive.name
        if not has_hash(file, archive.known_hash):
            remedy = (
                f"search once with a network, or put {archive.url} into {folder} (below dataset.root), "
                "or use your own: dataset=folder dataset.root=<folder>"
            )
            download(archive.url, file, archive.known_hash, f"dataset={kind}: cannot be downloaded", remedy)
        extract_archive(file, archive.folder)


def _read_annotations(base: Path, split: str) -> list[tuple[str, str]]:
    """Return the image name and species of each line; a line has name, class, species (1 cat, 2 dog), breed."""
    file = base / "annotations" / f"{split}.txt"
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        return [(Path(name).name, {"1": "cat", "2": "dog"}[species]) for name, _, species, _ in lines]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(_incomplete_message(base, f"{file.name} cannot be read ({type(error).__name__})")) from None


def _incomplete_message(folder: Path, problem: str) -> str:
    return f"{folder}: {problem}; remove that folder, and the same command makes it again"


def load_cifar(dataset: Cifar, _target_kind: TargetKind, _cache: Path) -> Examples:
    """Load photographs of 32x32 from CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their official split.

    subject=animals: cat, lion and lizard; subject=presence: cat, and as many others of CIFAR-10. The binary version is
    read: the Python version is pickled. Raises DataError if they are damaged, or missing and cannot be downloaded.
    """
    has_animals = dataset.subject == "animals"
    _ensure_archives(dataset.root, (CIFAR_10, CIFAR_100) if has_animals else (CIFAR_10,), dataset.kind)
    parts = [(*part, is_test) for is_test in (False, True) for part in _select_classes(dataset, is_test)]
    counts = [len(pixels) for pixels, _, _ in parts]
    pixels = np.concatenate([pixels for pixels, _, _ in parts])
    images = Images(resize_pixels(pixels.transpose(0, 2, 3, 1), dataset.size))
    groups = group_duplicates(images)
    return Examples(
        inputs=images,
        targets=np.repeat([code for _, code, _ in parts], counts),
        target_kind="classes",
        names=tuple(f"cifar {row}" for row in range(len(images))),
        groups=groups,
        test_mask=np.repeat([is_test for _, _, is_test in parts], counts),
        classes=("cat", "lion", "lizard") if has_animals else ("no cat", "cat"),
        notes=format_duplicates_note(groups),
    ).with_fingerprint()


def _select_classes(dataset: Cifar, is_test: bool) -> list[tuple[NDArray[np.uint8], int]]:
    """Return the images of the training or test part by class, each with its class code."""
    names = ["test_batch.bin"] if is_test else [f"data_batch_{batch}.bin" for batch in range(1, 6)]
    images, labels = _read_records([dataset.root / CIFAR_10.folder / name for name in names], label_bytes=1)
    cats = images[labels == CIFAR_10_CAT]
    if dataset.subject == "presence":
        return [(images[labels != CIFAR_10_CAT][: len(cats)], 0), (cats, 1)]
    file = dataset.root / CIFAR_100.folder / ("test.bin" if is_test else "train.bin")
    images, labels = _read_records([file], label_bytes=2)
    return [(cats, 0), (images[labels == CIFAR_100_LION], 1), (images[labels == CIFAR_100_LIZARD], 2)]


def _read_records(files: Sequence[Path], label_bytes: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read binary records: pixels uint8 [N, 3, 32, 32], and the last label byte of each record, uint8 [N]."""
    try:
        raw = np.concatenate([np.fromfile(file, dtype=np.uint8) for file in files])
        records = raw.reshape(-1, label_bytes + 3 * 32 * 32)
    except (OSError, ValueError) as error:
        raise DataError(_incomplete_message(files[0].parent, f"not CIFAR's binary files ({error})")) from None
    return records[:, label_bytes:].reshape(-1, 3, 32, 32), records[:, label_bytes - 1]
