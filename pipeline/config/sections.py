"""The sections of a configuration: which class each becomes, and every key that may be typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pipeline.config import datasets, schema
from pipeline.config.model import Blocks, Layout, Model
from pipeline.config.schema import Training, Tuning
from pipeline.config.strict_types import Whole

FACTS = ("subject", "unit")
FIXED = ("backbone", "weights", "finetune")
LISTS = ("model.nodes", "model.channels")  # a value for each layer or block
DERIVED = ("hidden", "convolutions", "tail", "tuning")
DATASETS = {
    "drawn": datasets.Drawn,
    "drawn_houses": datasets.DrawnHouses,
    "folder": datasets.Folder,
    "labels": datasets.Labels,
    "hdf5": datasets.Hdf5,
    "table": datasets.TableFile,
    "oxford_pets": datasets.OxfordPets,
    "cifar": datasets.Cifar,
}
HEADS = {
    "sigmoid": schema.Sigmoid,
    "sigmoids": schema.Sigmoids,
    "softmax": schema.Softmax,
    "number": schema.Number,
    "bands": schema.Bands,
}
SECTIONS = {
    "features": schema.Features,
    "cv": schema.CrossValidation,
    "budget": schema.Budget,
    "cache": schema.Cache,
    "compute": schema.Compute,
    "tracking": schema.Tracking,
}
SEARCHED: dict[str, tuple[type, ...]] = {"model": (Blocks, Layout, Model), "training": (Training, Tuning)}
SINGLE = {
    "question": schema.Sentence,
    "metric": schema.Metric,
    "sampler": Literal["tpe", "random", "gp"],
    "pruner": Literal["median", "asha", "none"],
    "seed": Whole,
    "study": schema.StudyName | None,
    "store": Path,
}


def searchable(kinds: Sequence[type]) -> dict[str, Any]:
    """The type of each field that can be searched."""
    found = [get_type_hints(kind, include_extras=True) for kind in kinds]
    return {name: hint for hints in found for name, hint in hints.items() if name not in DERIVED}


def every_key() -> list[str]:
    """All that lies in a group, in full; of a name that several have, the first is meant first."""
    fixed = [f"model.{name}" for name in FIXED]
    searched = [f"{section}.{name}" for section, kinds in SEARCHED.items() for name in searchable(kinds)]
    others = [f"{section}.{name}" for section, kind in SECTIONS.items() for name in names(kind)]
    kinds = [("dataset", kind) for kind in DATASETS.values()] + [("head", kind) for kind in HEADS.values()]
    return fixed + searched + others + [f"{section}.{name}" for section, kind in kinds for name in names(kind)]


def datasets_with(name: str) -> list[str]:
    """The kinds of data set that have such a key."""
    return [kind for kind, section in DATASETS.items() if name in names(section)]


def names(kind: type) -> list[str]:
    """Of the keys of a section."""
    return [field.name for field in fields(kind)]
