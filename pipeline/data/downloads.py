"""Photographs that are downloaded once: the Oxford-IIIT Pets and CIFAR; with a progress bar and a checksum."""

from __future__ import annotations

import socket
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.config.datasets import Cifar, OxfordPets
from pipeline.data.examples import DataError, Examples, Pictures
from pipeline.data.pictures import copies_share_a_group, decode_all

SECONDS = 10.0
CIFAR_URL = "https://www.cs.toronto.edu/~kriz/"
CIFAR_10 = ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", "cifar-10-batches-bin")
CIFAR_100 = ("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", "cifar-100-binary")
CAT, LION, LIZARD = 3, 43, 44  # their numbers in CIFAR-10, CIFAR-100 and CIFAR-100
Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]


def oxford_pets(dataset: OxfordPets, cache: Path) -> Examples:
    """The Oxford-IIIT Pet photographs (Parkhi et al. 2012), in their official split.

    subject=breed: the twelve cat breeds; subject=presence: dog or cat. Raises DataError where they are not there and
    cannot be fetched.
    """
    from torchvision.datasets import OxfordIIITPet

    with _fetching(dataset.root, "oxford_pets"):
        OxfordIIITPet(dataset.root, download=True)
    return read_pets(dataset, cache)


def read_pets(dataset: OxfordPets, cache: Path) -> Examples:
    """The photographs from the folder that the archive unpacks to."""
    base = dataset.root / "oxford-iiit-pet"
    listed = {part: _annotations(base / "annotations" / f"{part}.txt") for part in ("trainval", "test")}
    rows = [(*line, part) for part, lines in listed.items() for line in lines]
    if dataset.subject == "breed":
        rows = [row for row in rows if row[1] == "cat"]
        classes = tuple(sorted({_breed(name) for name, _, _ in rows}))
        codes = [classes.index(_breed(name)) for name, _, _ in rows]
    else:
        classes = ("dog", "cat")
        codes = [classes.index(species) for _, species, _ in rows]
    paths = [base / "images" / f"{name}.jpg" for name, _, _ in rows]
    decoded = decode_all(paths, base / "images", dataset.size, cache, skip_bad=False)
    return Examples(
        inputs=decoded.pictures,
        targets=np.array(codes, dtype=np.int64),
        kind="classes",
        names=tuple(path.name for path in paths),
        groups=decoded.groups,
        test=np.array([part == "test" for _, _, part in rows]),
        classes=classes,
        notes=decoded.notes,
    ).with_fingerprint()


def _annotations(file: Path) -> Iterator[tuple[str, str]]:
    """Each line's picture and its species; a line is: name, class, species (1 cat, 2 dog), breed."""
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            name, _, species, _ = line.split()
            yield name, "cat" if species == "1" else "dog"


def _breed(name: str) -> str:
    return name.rsplit("_", 1)[0]


def cifar(dataset: Cifar) -> Examples:
    """Photographs of 32x32 from CIFAR-10 and CIFAR-100 (Krizhevsky 2009), in their official split.

    subject=animals: cat, lion and lizard; subject=presence: cat, and as many others of CIFAR-10. The binary form is
    read: the other one is pickled. Raises DataError where they are not there and cannot be fetched.
    """
    for archive, checksum, folder in (CIFAR_10, CIFAR_100) if dataset.subject == "animals" else (CIFAR_10,):
        if not (dataset.root / folder).is_dir():
            _fetch(dataset.root, archive, checksum)
    return read_cifar(dataset)


def _fetch(root: Path, archive: str, checksum: str) -> None:
    from torchvision.datasets.utils import download_url

    with _fetching(root, "cifar"):
        download_url(CIFAR_URL + archive, root, archive, checksum)
    with tarfile.open(root / archive) as packed:
        packed.extractall(root, filter="data")


def read_cifar(dataset: Cifar) -> Examples:
    """The photographs from the folders that the archives unpack to."""
    parts = []
    for test in (False, True):
        ten = _cifar_10(dataset.root / CIFAR_10[2], test=test)
        if dataset.subject == "animals":
            hundred = _cifar_100(dataset.root / CIFAR_100[2], test=test)
            chosen = [(ten[0][ten[1] == CAT], 0)]
            chosen += [(hundred[0][hundred[1] == number], code) for code, number in ((1, LION), (2, LIZARD))]
        else:
            cats, others = ten[0][ten[1] == CAT], ten[0][ten[1] != CAT]
            chosen = [(others[: len(cats)], 0), (cats, 1)]
        parts += [(pixels, code, test) for pixels, code in chosen]
    pixels = _sized(np.concatenate([pixels for pixels, _, _ in parts]), dataset.size)
    return Examples(
        inputs=Pictures(pixels),
        targets=np.concatenate([np.full(len(pixels), code) for pixels, code, _ in parts]),
        kind="classes",
        names=tuple(f"cifar {row}" for row in range(len(pixels))),
        groups=copies_share_a_group(pixels),
        test=np.concatenate([np.full(len(pixels), test) for pixels, _, test in parts]),
        classes=("cat", "lion", "lizard") if dataset.subject == "animals" else ("no cat", "cat"),
    ).with_fingerprint()


def _cifar_10(folder: Path, *, test: bool) -> Labelled:
    names = ["test_batch.bin"] if test else [f"data_batch_{batch}.bin" for batch in range(1, 6)]
    return _records([folder / name for name in names], labels=1)


def _cifar_100(folder: Path, *, test: bool) -> Labelled:
    return _records([folder / ("test.bin" if test else "train.bin")], labels=2)


def _records(files: list[Path], labels: int) -> Labelled:
    """uint8 [N, 3, 32, 32] and int64 [N], the last of each record's labels."""
    try:
        raw = np.concatenate([np.fromfile(file, dtype=np.uint8) for file in files])
        records = raw.reshape(-1, labels + 3 * 32 * 32)
    except (OSError, ValueError) as error:
        folder = files[0].parent
        raise DataError(f"{folder}: not CIFAR's binary files ({error}); remove it, and it is fetched again") from None
    return records[:, labels:].reshape(-1, 3, 32, 32), records[:, labels - 1].astype(np.int64)


def _sized(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if pixels.shape[2] == size:
        return pixels
    resized = [Image.fromarray(picture.transpose(1, 2, 0)).resize((size, size)) for picture in pixels]
    return np.stack([np.asarray(picture).transpose(2, 0, 1) for picture in resized])


@contextmanager
def _fetching(root: Path, kind: str) -> Iterator[None]:
    """Downloads give up on a silent network after seconds, and say what else can be done."""
    root.mkdir(parents=True, exist_ok=True)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS)
    try:
        yield
    except (URLError, OSError, RuntimeError) as error:
        raise DataError(
            f"dataset={kind}: cannot be fetched ({error}); search once where there is a network, "
            f"or put the archive into dataset.root={root}, or use your own: dataset=folder dataset.root=<folder>"
        ) from None
    finally:
        socket.setdefaulttimeout(before)
