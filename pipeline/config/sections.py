"""The sections of a configuration: which class each becomes, and every key that may be typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

from pipeline.config import schema
from pipeline.config.datasets import DATASETS
from pipeline.config.heads import HEADS
from pipeline.config.metrics import METRICS
from pipeline.config.model import ConvBlockSpace, HiddenLayerSpace, Model
from pipeline.config.schema import FinetuneTraining, Training
from pipeline.config.search_methods import PRUNERS, SAMPLERS
from pipeline.config.strict_types import SearchField, StrictInt, named_entry

INTERPOLATION_KEYS = ("subject", "unit")
BACKBONE_KEYS = ("backbone", "weights", "finetune")
LIST_KEYS = ("model.nodes", "model.channels")  # a value for each layer or block
DERIVED_FIELDS = ("hidden", "convolutions", "tail", "finetuning")
DATASET_CLASSES = {kind: spec.config_class for kind, spec in DATASETS.items()}
HEAD_CLASSES = {kind: spec.config_class for kind, spec in HEADS.items()}
SECTION_CLASSES = {
    "features": schema.FeaturesConfig,
    "cv": schema.CrossValidationConfig,
    "budget": schema.BudgetConfig,
    "cache": schema.CacheConfig,
    "compute": schema.ComputeConfig,
    "tracking": schema.TrackingConfig,
}
SEARCHABLE_CLASSES: dict[str, tuple[type, ...]] = {
    "model": (ConvBlockSpace, HiddenLayerSpace, Model),
    "training": (Training, FinetuneTraining),
}
SCALAR_TYPES = {
    "question": schema.OneLineText,
    "metric": named_entry(METRICS),
    "sampler": named_entry(SAMPLERS),
    "pruner": named_entry(PRUNERS),
    "seed": StrictInt,
    "study": schema.StudyName | None,
    "store": Path,
}


def searchable_defaults() -> dict[str, Any]:
    """Return the default of each searchable field that has one, by its full key: a field of a later release."""
    return {
        f"{section}.{field.name}": field.default
        for section, classes in SEARCHABLE_CLASSES.items()
        for section_class in classes
        for field in fields(section_class)
        if field.default is not MISSING and field.name not in DERIVED_FIELDS
    }


def searchable_heads() -> dict[str, tuple[str, ...]]:
    """Return the kinds of heads of each searchable field that is not for all, by its full key."""
    return {
        f"{section}.{name}": metadata.heads
        for section, classes in SEARCHABLE_CLASSES.items()
        for name, hint in list_searchable_fields(classes).items()
        for metadata in getattr(hint, "__metadata__", ())
        if isinstance(metadata, SearchField) and metadata.heads
    }


def list_searchable_fields(classes: Sequence[type]) -> dict[str, Any]:
    """The type of each field that can be searched."""
    type_hints = [get_type_hints(kind, include_extras=True) for kind in classes]
    return {name: hint for hints in type_hints for name, hint in hints.items() if name not in DERIVED_FIELDS}


def list_all_keys() -> list[str]:
    """All that lies in a group, in full; of a name that several have, the first is meant first."""
    fixed = [f"model.{name}" for name in BACKBONE_KEYS]
    searched = [
        f"{section}.{name}" for section, kinds in SEARCHABLE_CLASSES.items() for name in list_searchable_fields(kinds)
    ]
    others = [f"{section}.{name}" for section, kind in SECTION_CLASSES.items() for name in list_field_names(kind)]
    kinds = [("dataset", kind) for kind in DATASET_CLASSES.values()] + [
        ("head", kind) for kind in HEAD_CLASSES.values()
    ]
    return (
        fixed + searched + others + [f"{section}.{name}" for section, kind in kinds for name in list_field_names(kind)]
    )


def find_datasets_with_key(key: str) -> list[str]:
    """The kinds of data set that have such a key."""
    return [kind for kind, section in DATASET_CLASSES.items() if key in list_field_names(section)]


def list_field_names(section_class: type) -> list[str]:
    """Of the keys of a section."""
    return [field.name for field in fields(section_class)]
