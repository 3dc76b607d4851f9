"""Data sets become Examples; `load` reads the kind that a configuration names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import datasets
from pipeline.data.examples import DataError, Examples, TargetKind
from pipeline.runtime.text import LONGEST_NAME, listed_names

USE: dict[TargetKind, str] = {
    "classes": "one class a row: head=softmax, or head=sigmoid for two",
    "labels": "several labels a row: head=sigmoids",
    "numbers": "a number a row: head=number or head=bands",
}
ANY: tuple[TargetKind, ...] = ("classes", "labels", "numbers")


@dataclass(frozen=True)
class Loader:
    """How one kind of data set is read, and which kinds of target it can give at all."""

    load: Callable[[Any, TargetKind, Path], Examples]
    gives: tuple[TargetKind, ...]


def load(dataset: datasets.Dataset, wants: TargetKind, cache: Path) -> Examples:
    """The examples of a data set, with the kind of target that a head needs; decoded pictures are kept in `cache`.

    Raises DataError where the data cannot be read, or do not have such targets.
    """
    loader = LOADERS[type(dataset)]
    _check(dataset, wants, loader.gives)
    examples = loader.load(dataset, wants, cache)
    _check(dataset, wants, (examples.kind,))
    _check_classes(examples)
    return examples


def _check(dataset: datasets.Dataset, wants: TargetKind, gives: tuple[TargetKind, ...]) -> None:
    if wants not in gives:
        given, asked = " or ".join(USE[kind] for kind in gives), USE[wants].split(":")[0]
        raise DataError(f"dataset={dataset.kind} gives {given}; the head asks for {asked}")


def _check_classes(examples: Examples) -> None:
    """At least two classes, each with a name of its own that a model can keep."""
    names = examples.classes
    if examples.kind == "classes" and len(names) < 2:
        raise DataError(
            f"dataset: at least two classes; got {listed_names(names)} in every one of {len(examples)} rows"
        )
    if long := [name for name in names if len(name) > LONGEST_NAME]:
        raise DataError(f"dataset: a class has a name of at most {LONGEST_NAME:,} characters; got {listed_names(long)}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"dataset: each class has its own name; got twice: {listed_names(twice)}")


# Each library (h5py, pandas, torchvision) is imported only where a data set needs it: prediction starts faster.


def _drawn(dataset: datasets.Drawn, _wants: TargetKind, cache: Path) -> Examples:
    from pipeline.data import synthetic_images

    return synthetic_images.load(dataset, cache)


def _houses(dataset: datasets.DrawnHouses, _wants: TargetKind, _cache: Path) -> Examples:
    from pipeline.data.sources import synthetic_houses

    return synthetic_houses.load(dataset)


def _folder(dataset: datasets.Folder, _wants: TargetKind, cache: Path) -> Examples:
    from pipeline.data.sources import image_folder

    return image_folder.load(dataset, cache)


def _labels(dataset: datasets.Labels, wants: TargetKind, cache: Path) -> Examples:
    from pipeline.data.sources import labelled_csv

    return labelled_csv.load(dataset, wants, cache)


def _hdf5(dataset: datasets.Hdf5, _wants: TargetKind, _cache: Path) -> Examples:
    from pipeline.data.sources import hdf5

    return hdf5.load(dataset)


def _table(dataset: datasets.TableFile, wants: TargetKind, _cache: Path) -> Examples:
    from pipeline.data.sources import table

    return table.load(dataset, wants)


def _oxford_pets(dataset: datasets.OxfordPets, _wants: TargetKind, cache: Path) -> Examples:
    from pipeline.data.sources import downloads

    return downloads.oxford_pets(dataset, cache)


def _cifar(dataset: datasets.Cifar, _wants: TargetKind, _cache: Path) -> Examples:
    from pipeline.data.sources import downloads

    return downloads.cifar(dataset)


LOADERS: dict[type, Loader] = {
    datasets.Drawn: Loader(_drawn, ANY),
    datasets.DrawnHouses: Loader(_houses, ("numbers",)),
    datasets.Folder: Loader(_folder, ("classes",)),
    datasets.Labels: Loader(_labels, ANY),
    datasets.Hdf5: Loader(_hdf5, ("classes",)),
    datasets.TableFile: Loader(_table, ("classes", "numbers")),
    datasets.OxfordPets: Loader(_oxford_pets, ("classes",)),
    datasets.Cifar: Loader(_cifar, ("classes",)),
}
