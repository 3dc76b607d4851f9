"""Photographs that are downloaded once: the Oxford-IIIT Pets and CIFAR; with a progress bar and a checksum."""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.datasets import Cifar, OxfordPets
from pipeline.data.examples import DataError, Examples, Pictures
from pipeline.data.images.decode import resized
from pipeline.data.images.decoded_cache import copies_note, copies_share_a_group, decode_all
from pipeline.data.sources.fetch import download, fetching

PETS_URL = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"
CIFAR_URL = "https://www.cs.toronto.edu/~kriz/"
PETS = "oxford-iiit-pet"
CIFAR_10, CIFAR_100 = "cifar-10-batches-bin", "cifar-100-binary"
CAT, LION, LIZARD = 3, 43, 44  # their numbers in CIFAR-10, CIFAR-100 and CIFAR-100
Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True)
class Archive:
    """A file to fetch, its checksum, and the folder that it unpacks to beside itself."""

    url: str
    md5: str
    folder: str

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.url.rsplit("/", 1)[1]


PETS_ARCHIVES = (
    Archive(PETS_URL + "images.tar.gz", "5c4f3ee8e5d25df40f4fd59a7f44e54c", "images"),
    Archive(PETS_URL + "annotations.tar.gz", "95a8c909bbe2e81eed6a22bccdf3f68f", "annotations"),
)
CIFAR_ARCHIVES = (
    Archive(CIFAR_URL + "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", CIFAR_10),
    Archive(CIFAR_URL + "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", CIFAR_100),
)


def oxford_pets(dataset: OxfordPets, cache: Path) -> Examples:
    """The Oxford-IIIT Pet photographs (Parkhi et al. 2012), in their official split.

    subject=breed: the twelve cat breeds; subject=presence: dog or cat. Raises DataError where they are not there and
    cannot be fetched.
    """
    _provide(dataset.root / PETS, PETS_ARCHIVES, dataset.kind)
    return read_pets(dataset, cache)


def _provide(folder: Path, archives: Sequence[Archive], kind: str) -> None:
    """Each archive's folder, from the archive where that is there, and otherwise from the network."""
    for archive in archives:
        if not (folder / archive.folder).is_dir():
            _fetch(folder, archive, kind)
            unpack(folder / archive.name, archive.folder)


def _fetch(folder: Path, archive: Archive, kind: str) -> None:
    """The archive, unless it is there and whole."""

    def said(error: Exception) -> str:
        return (
            f"dataset={kind}: cannot be fetched ({error}); search once where there is a network, "
            f"or put {archive.url} into {folder} (below dataset.root), "
            "or use your own: dataset=folder dataset.root=<folder>"
        )

    file = folder / archive.name
    if not _whole(file, archive.md5):
        with fetching(archive.url, said):
            download(archive.url, file, "md5", archive.md5)


def _whole(file: Path, md5: str) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest() == md5


def unpack(archive: Path, folder: str) -> None:
    """The archive's folder beside it, whole or not at all; nothing is written outside of it. Raises DataError."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder}-", dir=archive.parent) as temporary:
            with tarfile.open(archive) as packed:
                packed.extractall(temporary, filter="data")
            Path(temporary, folder).rename(archive.parent / folder)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"{archive} cannot be unpacked to {archive.parent / folder} ({error}); remove both") from None


def read_pets(dataset: OxfordPets, cache: Path) -> Examples:
    """The photographs from the folder that the archives unpack to; raises DataError where some are missing."""
    base = dataset.root / PETS
    rows = [(*line, part) for part in ("trainval", "test") for line in _annotations(base, part)]
    if dataset.subject == "breed":
        rows = [row for row in rows if row[1] == "cat"]
        classes = tuple(sorted({_breed(name) for name, _, _ in rows}))
        codes = [classes.index(_breed(name)) for name, _, _ in rows]
    else:
        classes = ("dog", "cat")
        codes = [classes.index(species) for _, species, _ in rows]
    paths = [base / "images" / f"{name}.jpg" for name, _, _ in rows]
    if missing := [path for path in paths if not path.is_file()]:
        raise DataError(_incomplete(base, f"{len(missing)} pictures are missing, such as {missing[0].name}"))
    # a few of the archive's files are no JPEG whatever their names say, and a person can do nothing about them
    decoded = decode_all(paths, base / "images", dataset.size, cache, skip_bad=True)
    return Examples(
        inputs=decoded.pictures,
        targets=np.array(codes, dtype=np.int64)[decoded.kept],
        kind="classes",
        names=tuple(paths[row].name for row in decoded.kept),
        groups=decoded.groups,
        test=np.array([part == "test" for _, _, part in rows])[decoded.kept],
        classes=classes,
        notes=decoded.notes,
    ).with_fingerprint()


def _annotations(base: Path, part: str) -> list[tuple[str, str]]:
    """Each line's picture and its species; a line is: name, class, species (1 cat, 2 dog), breed."""
    file = base / "annotations" / f"{part}.txt"
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        return [(Path(name).name, {"1": "cat", "2": "dog"}[species]) for name, _, species, _ in lines]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(_incomplete(base, f"{file.name} cannot be read ({type(error).__name__})")) from None


def _breed(name: str) -> str:
    return name.rsplit("_", 1)[0]


def _incomplete(folder: Path, found: str) -> str:
    """An archive that was not unpacked to its end, or a folder that was changed."""
    return f"{folder}: {found}; remove that folder, and the same command makes it again"


def cifar(dataset: Cifar) -> Examples:
    """Photographs of 32x32 from CIFAR-10 and CIFAR-100 (Krizhevsky 2009), in their official split.

    subject=animals: cat, lion and lizard; subject=presence: cat, and as many others of CIFAR-10. The binary form is
    read: the other one is pickled. Raises DataError where they are not there and cannot be fetched.
    """
    archives = CIFAR_ARCHIVES if dataset.subject == "animals" else CIFAR_ARCHIVES[:1]
    _provide(dataset.root, archives, dataset.kind)
    return read_cifar(dataset)


def read_cifar(dataset: Cifar) -> Examples:
    """The photographs from the folders that the archives unpack to; raises DataError where they are damaged."""
    parts = [(part, test) for test in (False, True) for part in _chosen(dataset, test=test)]
    pixels = _squeezed(np.concatenate([pixels for (pixels, _), _ in parts]), dataset.size)
    pictures = Pictures(pixels)
    groups = copies_share_a_group(pictures)
    return Examples(
        inputs=pictures,
        targets=np.concatenate([np.full(len(part), code, dtype=np.int64) for (part, code), _ in parts]),
        kind="classes",
        names=tuple(f"cifar {row}" for row in range(len(pixels))),
        groups=groups,
        test=np.concatenate([np.full(len(part), test) for (part, _), test in parts]),
        classes=("cat", "lion", "lizard") if dataset.subject == "animals" else ("no cat", "cat"),
        notes=copies_note(groups),
    ).with_fingerprint()


def _chosen(dataset: Cifar, *, test: bool) -> list[tuple[NDArray[np.uint8], int]]:
    """The pictures of one part, class by class, each with its code; of too many others the first ones."""
    pictures, labels = _cifar_10(dataset.root / CIFAR_10, test=test)
    cats, others = pictures[labels == CAT], pictures[labels != CAT]
    if dataset.subject == "presence":
        return [(others[: len(cats)], 0), (cats, 1)]
    pictures, labels = _cifar_100(dataset.root / CIFAR_100, test=test)
    return [(cats, 0), (pictures[labels == LION], 1), (pictures[labels == LIZARD], 2)]


def _cifar_10(folder: Path, *, test: bool) -> Labelled:
    names = ["test_batch.bin"] if test else [f"data_batch_{batch}.bin" for batch in range(1, 6)]
    return _records([folder / name for name in names], labels=1)


def _cifar_100(folder: Path, *, test: bool) -> Labelled:
    return _records([folder / ("test.bin" if test else "train.bin")], labels=2)


def _records(files: Sequence[Path], labels: int) -> Labelled:
    """uint8 [N, 3, 32, 32] and int64 [N], the last of each record's labels."""
    try:
        raw = np.concatenate([np.fromfile(file, dtype=np.uint8) for file in files])
        records = raw.reshape(-1, labels + 3 * 32 * 32)
    except (OSError, ValueError) as error:
        raise DataError(_incomplete(files[0].parent, f"not CIFAR's binary files ({error})")) from None
    return records[:, labels:].reshape(-1, 3, 32, 32), records[:, labels - 1].astype(np.int64)


def _squeezed(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """uint8 [N, 3, 32, 32] to [N, 3, size, size]."""
    smaller: NDArray[np.uint8] = resized(pixels.transpose(0, 2, 3, 1), size).transpose(0, 3, 1, 2).copy()
    return smaller
