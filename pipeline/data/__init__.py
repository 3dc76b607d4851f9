"""Data sets become Examples; `load` reads the kind that a configuration names."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import datasets
from pipeline.data import downloads, drawn, folder, hdf5, houses, labels, table
from pipeline.data.examples import DataError, Examples, TargetKind

USE = {
    "classes": "one class a row: head=softmax, or head=sigmoid for two",
    "labels": "several labels a row: head=sigmoids",
    "numbers": "a number a row: head=number or head=bands",
}


def load(dataset: datasets.Dataset, wants: TargetKind, cache: Path) -> Examples:
    """The examples of a data set, with the kind of target that a head needs; decoded pictures are kept in `cache`.

    Raises DataError where the data cannot be read, or do not have such targets.
    """
    examples = _load(dataset, wants, cache)
    if examples.kind != wants:
        asked = USE[wants].split(":")[0]
        raise DataError(f"dataset={dataset.kind} gives {USE[examples.kind]}; the head asks for {asked}")
    return examples


def _load(dataset: datasets.Dataset, wants: TargetKind, cache: Path) -> Examples:
    match dataset:
        case datasets.Drawn():
            return drawn.load(dataset, cache)
        case datasets.DrawnHouses():
            return houses.load(dataset)
        case datasets.Folder():
            return folder.load(dataset, cache)
        case datasets.Labels():
            return labels.load(dataset, wants, cache)
        case datasets.Hdf5():
            return hdf5.load(dataset)
        case datasets.TableFile():
            return table.load(dataset, wants)
        case datasets.OxfordPets():
            return downloads.oxford_pets(dataset, cache)
        case datasets.Cifar():
            return downloads.cifar(dataset)
