"""Load a configured data set as Examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import datasets
from pipeline.config.datasets import TargetKind
from pipeline.data.examples import DataError, Examples
from pipeline.runtime.text import MAX_NAME_CHARS, join_names

TARGET_KIND_DESCRIPTIONS: dict[TargetKind, str] = {
    "classes": "one class a row: head=softmax, or head=sigmoid for two",
    "labels": "several labels a row: head=sigmoids",
    "numbers": "a number a row: head=number or head=bands",
}
ALL_TARGET_KINDS: tuple[TargetKind, ...] = ("classes", "labels", "numbers")


@dataclass(frozen=True)
class DatasetLoader:
    """Loader of one kind of data set, and the kinds of target that it supports."""

    load: Callable[[Any, TargetKind, Path], Examples]
    target_kinds: tuple[TargetKind, ...]


def load_examples(dataset: datasets.DatasetConfig, target_kind: TargetKind, cache: Path) -> Examples:
    """Load a data set with the kind of target that a head needs; decoded images are cached in the folder `cache`.

    Raises DataError if the data cannot be read or have no such targets.
    """
    loader = LOADERS[type(dataset)]
    _check_target_kind(dataset, target_kind, loader.target_kinds)
    examples = loader.load(dataset, target_kind, cache)
    _check_target_kind(dataset, target_kind, (examples.target_kind,))
    _check_classes(examples)
    return examples


def _check_target_kind(
    dataset: datasets.DatasetConfig, target_kind: TargetKind, supported: tuple[TargetKind, ...]
) -> None:
    if target_kind not in supported:
        supported_text = " or ".join(TARGET_KIND_DESCRIPTIONS[kind] for kind in supported)
        requested_text = TARGET_KIND_DESCRIPTIONS[target_kind].split(":")[0]
        raise DataError(f"dataset={dataset.kind} gives {supported_text}; the head asks for {requested_text}")


def _check_classes(examples: Examples) -> None:
    """Raise DataError unless there are two classes or more, each with a unique name that a model file can store."""
    names = examples.classes
    if examples.target_kind == "classes" and len(names) < 2:
        raise DataError(f"dataset: at least two classes; got {join_names(names)} in every one of {len(examples)} rows")
    if long_names := [name for name in names if len(name) > MAX_NAME_CHARS]:
        raise DataError(
            f"dataset: a class has a name of at most {MAX_NAME_CHARS:,} characters; got {join_names(long_names)}"
        )
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"dataset: each class has its own name; got twice: {join_names(duplicates)}")


# Each library (h5py, pandas, torchvision) is imported only where a data set needs it: prediction starts faster.


def _load_synthetic_images(dataset: datasets.SyntheticImages, _target_kind: TargetKind, cache: Path) -> Examples:
    from pipeline.data import synthetic_images

    return synthetic_images.load_synthetic_images(dataset, cache)


def _load_synthetic_houses(dataset: datasets.SyntheticHouses, _target_kind: TargetKind, _cache: Path) -> Examples:
    from pipeline.data.sources import synthetic_houses

    return synthetic_houses.load_synthetic_houses(dataset)


def _load_image_folder(dataset: datasets.ImageFolder, _target_kind: TargetKind, cache: Path) -> Examples:
    from pipeline.data.sources import image_folder

    return image_folder.load_image_folder(dataset, cache)


def _load_labelled_csv(dataset: datasets.LabeledImages, target_kind: TargetKind, cache: Path) -> Examples:
    from pipeline.data.sources import labelled_csv

    return labelled_csv.load_labelled_csv(dataset, target_kind, cache)


def _load_hdf5(dataset: datasets.Hdf5, _target_kind: TargetKind, _cache: Path) -> Examples:
    from pipeline.data.sources import hdf5

    return hdf5.load_hdf5(dataset)


def _load_table(dataset: datasets.TableFile, target_kind: TargetKind, _cache: Path) -> Examples:
    from pipeline.data.sources import table

    return table.load_table(dataset, target_kind)


def _load_oxford_pets(dataset: datasets.OxfordPets, _target_kind: TargetKind, cache: Path) -> Examples:
    from pipeline.data.sources import downloads

    return downloads.load_oxford_pets(dataset, cache)


def _load_cifar(dataset: datasets.Cifar, _target_kind: TargetKind, _cache: Path) -> Examples:
    from pipeline.data.sources import downloads

    return downloads.load_cifar(dataset)


LOADERS: dict[type, DatasetLoader] = {
    datasets.SyntheticImages: DatasetLoader(_load_synthetic_images, ALL_TARGET_KINDS),
    datasets.SyntheticHouses: DatasetLoader(_load_synthetic_houses, ("numbers",)),
    datasets.ImageFolder: DatasetLoader(_load_image_folder, ("classes",)),
    datasets.LabeledImages: DatasetLoader(_load_labelled_csv, ALL_TARGET_KINDS),
    datasets.Hdf5: DatasetLoader(_load_hdf5, ("classes",)),
    datasets.TableFile: DatasetLoader(_load_table, ("classes", "numbers")),
    datasets.OxfordPets: DatasetLoader(_load_oxford_pets, ("classes",)),
    datasets.Cifar: DatasetLoader(_load_cifar, ("classes",)),
}
