"""Load the Oxford-IIIT Pets and CIFAR, which are downloaded once and verified by checksum."""

from __future__ import annotations

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

PETS_URL = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"
CIFAR_URL = "https://www.cs.toronto.edu/~kriz/"
PETS_FOLDER = "oxford-iiit-pet"
CIFAR_10_FOLDER = "cifar-10-batches-bin"
CIFAR_100_FOLDER = "cifar-100-binary"
CIFAR_10_CAT = 3  # these three are class numbers of the binary files
CIFAR_100_LION = 43
CIFAR_100_LIZARD = 44
LabeledPixels = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True)
class Archive:
    """Archive to download, its MD5 checksum, and the folder that it contains."""

    url: str
    md5: str
    folder: str

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self.url.rsplit("/", 1)[1]


PETS_ARCHIVES = (
    Archive(PETS_URL + "images.tar.gz", "5c4f3ee8e5d25df40f4fd59a7f44e54c", "images"),
    Archive(PETS_URL + "annotations.tar.gz", "95a8c909bbe2e81eed6a22bccdf3f68f", "annotations"),
)
CIFAR_ARCHIVES = (
    Archive(CIFAR_URL + "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", CIFAR_10_FOLDER),
    Archive(CIFAR_URL + "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", CIFAR_100_FOLDER),
)


def load_oxford_pets(dataset: OxfordPets, _target_kind: TargetKind, cache: Path) -> Examples:
    """Load the Oxford-IIIT Pet photographs (Parkhi et al. 2012) in their official split.

    subject=breed: the twelve cat breeds; subject=presence: dog or cat. Raises DataError if they are missing and
    cannot be downloaded.
    """
    _ensure_archives(dataset.root / PETS_FOLDER, PETS_ARCHIVES, dataset.kind)
    return read_oxford_pets(dataset, cache)


def _ensure_archives(folder: Path, archives: Sequence[Archive], kind: str) -> None:
    """Unpack each archive whose folder is missing; download it first unless an intact copy exists."""
    for archive in archives:
        if (folder / archive.folder).is_dir():
            continue
        if not has_hash(folder / archive.name, f"md5:{archive.md5}"):
            way_out = (
                f"search once where there is a network, or put {archive.url} into {folder} (below dataset.root), "
                "or use your own: dataset=folder dataset.root=<folder>"
            )
            template = f"dataset={kind}: cannot be downloaded ({{}}); {way_out}"
            download(archive.url, folder / archive.name, f"md5:{archive.md5}", template.format)
        extract_archive(folder / archive.name, archive.folder)


def read_oxford_pets(dataset: OxfordPets, cache: Path) -> Examples:
    """Read the photographs from the extracted folders; raises DataError if some are missing."""
    base = dataset.root / PETS_FOLDER
    rows = [(*line, part) for part in ("trainval", "test") for line in _read_annotations(base, part)]
    if dataset.subject == "breed":
        rows = [row for row in rows if row[1] == "cat"]
        classes = tuple(sorted({_breed_name(name) for name, _, _ in rows}))
        codes = [classes.index(_breed_name(name)) for name, _, _ in rows]
    else:
        classes = ("dog", "cat")
        codes = [classes.index(species) for _, species, _ in rows]
    paths = [base / "images" / f"{name}.jpg" for name, _, _ in rows]
    if missing := [path for path in paths if not path.is_file()]:
        raise DataError(_incomplete_message(base, f"{len(missing)} images are missing, such as {missing[0].name}"))
    # a few of the archive's files are no JPEG whatever their names say, and a person can do nothing about them
    decoded = decode_images(paths, base / "images", dataset.size, cache, skip_bad=True)
    return Examples(
        inputs=decoded.images,
        targets=np.array(codes, dtype=np.int64)[decoded.path_indices],
        target_kind="classes",
        names=tuple(paths[row].name for row in decoded.path_indices),
        groups=decoded.groups,
        test_mask=np.array([part == "test" for _, _, part in rows])[decoded.path_indices],
        classes=classes,
        notes=decoded.notes,
    ).with_fingerprint()


def _read_annotations(base: Path, split: str) -> list[tuple[str, str]]:
    """Return the image name and species of each line; a line has name, class, species (1 cat, 2 dog), breed."""
    file = base / "annotations" / f"{split}.txt"
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        return [(Path(name).name, {"1": "cat", "2": "dog"}[species]) for name, _, species, _ in lines]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(_incomplete_message(base, f"{file.name} cannot be read ({type(error).__name__})")) from None


def _breed_name(name: str) -> str:
    return name.rsplit("_", 1)[0]


def _incomplete_message(folder: Path, problem: str) -> str:
    """Format the message for a folder that is not as the archive contains it."""
    return f"{folder}: {problem}; remove that folder, and the same command makes it again"


def load_cifar(dataset: Cifar, _target_kind: TargetKind, _cache: Path) -> Examples:
    """Load photographs of 32x32 from CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their official split.

    subject=animals: cat, lion and lizard; subject=presence: cat, and as many others of CIFAR-10. The binary version is
    read: the Python version is pickled. Raises DataError if they are missing and cannot be downloaded.
    """
    archives = CIFAR_ARCHIVES if dataset.subject == "animals" else CIFAR_ARCHIVES[:1]
    _ensure_archives(dataset.root, archives, dataset.kind)
    return read_cifar(dataset)


def read_cifar(dataset: Cifar) -> Examples:
    """Read the photographs from the extracted folders; raises DataError if they are damaged."""
    parts = [(part, test) for test in (False, True) for part in _select_classes(dataset, test=test)]
    pixels = _resize_images(np.concatenate([pixels for (pixels, _), _ in parts]), dataset.size)
    images = Images(pixels)
    groups = group_duplicates(images)
    return Examples(
        inputs=images,
        targets=np.concatenate([np.full(len(part), code, dtype=np.int64) for (part, code), _ in parts]),
        target_kind="classes",
        names=tuple(f"cifar {row}" for row in range(len(pixels))),
        groups=groups,
        test_mask=np.concatenate([np.full(len(part), test) for (part, _), test in parts]),
        classes=("cat", "lion", "lizard") if dataset.subject == "animals" else ("no cat", "cat"),
        notes=format_duplicates_note(groups),
    ).with_fingerprint()


def _select_classes(dataset: Cifar, *, test: bool) -> list[tuple[NDArray[np.uint8], int]]:
    """Return the images of the training or test part by class, each with its class code."""
    images, labels = _read_cifar_10(dataset.root / CIFAR_10_FOLDER, test=test)
    cats = images[labels == CIFAR_10_CAT]
    others = images[labels != CIFAR_10_CAT]
    if dataset.subject == "presence":
        return [(others[: len(cats)], 0), (cats, 1)]
    images, labels = _read_cifar_100(dataset.root / CIFAR_100_FOLDER, test=test)
    return [(cats, 0), (images[labels == CIFAR_100_LION], 1), (images[labels == CIFAR_100_LIZARD], 2)]


def _read_cifar_10(folder: Path, *, test: bool) -> LabeledPixels:
    names = ["test_batch.bin"] if test else [f"data_batch_{batch}.bin" for batch in range(1, 6)]
    return _read_records([folder / name for name in names], label_bytes=1)


def _read_cifar_100(folder: Path, *, test: bool) -> LabeledPixels:
    return _read_records([folder / ("test.bin" if test else "train.bin")], label_bytes=2)


def _read_records(files: Sequence[Path], label_bytes: int) -> LabeledPixels:
    """Read binary records: pixels uint8 [N, 3, 32, 32], and the last label byte of each record as int64 [N]."""
    try:
        raw = np.concatenate([np.fromfile(file, dtype=np.uint8) for file in files])
        records = raw.reshape(-1, label_bytes + 3 * 32 * 32)
    except (OSError, ValueError) as error:
        raise DataError(_incomplete_message(files[0].parent, f"not CIFAR's binary files ({error})")) from None
    return records[:, label_bytes:].reshape(-1, 3, 32, 32), records[:, label_bytes - 1].astype(np.int64)


def _resize_images(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize uint8 [N, 3, 32, 32] to [N, 3, size, size]."""
    resized_pixels: NDArray[np.uint8] = resize_pixels(pixels.transpose(0, 2, 3, 1), size).transpose(0, 3, 1, 2).copy()
    return resized_pixels
