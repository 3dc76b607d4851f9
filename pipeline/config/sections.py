"""The sections of a configuration: the class of each, and all keys."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

from pipeline.config import schema
from pipeline.config.datasets import DATASETS
from pipeline.config.final_models import FinalModelKind
from pipeline.config.heads import HEADS
from pipeline.config.metrics import METRICS
from pipeline.config.model import ConvBlockSpace, HiddenLayerSpace, Model
from pipeline.config.schema import FinetuneTraining, Training
from pipeline.config.search_methods import PRUNERS, SAMPLERS
from pipeline.config.strict_types import SearchField, StrictInt, named_entry

INTERPOLATION_KEYS = ("subject", "unit", "target_transform")
BACKBONE_KEYS = ("backbone", "weights", "finetune")
LIST_KEYS = ("model.nodes", "model.channels")  # a value for each layer or block
DERIVED_FIELDS = ("hidden", "convolutions", "tail", "finetuning")
KIND_CLASSES: Mapping[str, Mapping[str, type]] = {
    "dataset": {kind: spec.config_class for kind, spec in DATASETS.items()},
    "head": {kind: spec.config_class for kind, spec in HEADS.items()},
}
SECTION_CLASSES: Mapping[str, type] = {
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
    "champion": FinalModelKind,
    "references": tuple[schema.ReferenceName, ...],
    "seed": StrictInt,
    "study": schema.StudyName | None,
    "store": Path,
}


def searchable_defaults() -> dict[str, Any]:
    """Return the default of each searchable field that was added later, and so has one, by its full key."""
    return {
        f"{section}.{field.name}": field.default
        for section, classes in SEARCHABLE_CLASSES.items()
        for section_class in classes
        for field in fields(section_class)
        if field.default is not MISSING and field.name not in DERIVED_FIELDS
    }


def searchable_heads() -> dict[str, tuple[str, ...]]:
    """Return the kinds of heads of each searchable field that is not for all, by full key."""
    return {
        f"{section}.{name}": metadata.heads
        for section, classes in SEARCHABLE_CLASSES.items()
        for name, hint in list_searchable_fields(classes).items()
        for metadata in getattr(hint, "__metadata__", ())
        if isinstance(metadata, SearchField) and metadata.heads
    }


def list_searchable_fields(classes: Sequence[type]) -> dict[str, Any]:
    """Return the type of each searchable field by name."""
    type_hints = [get_type_hints(kind, include_extras=True) for kind in classes]
    return {name: hint for hints in type_hints for name, hint in hints.items() if name not in DERIVED_FIELDS}


def list_all_keys() -> list[str]:
    """Return all full keys; of several with the same last name, a suggestion takes the first."""
    sections = [*SECTION_CLASSES.items()]
    sections += [(section, kind) for section, kinds in KIND_CLASSES.items() for kind in kinds.values()]
    return [
        *(f"model.{name}" for name in BACKBONE_KEYS),
        *(f"{name}.{key}" for name, classes in SEARCHABLE_CLASSES.items() for key in list_searchable_fields(classes)),
        *(f"{name}.{key}" for name, section_class in sections for key in list_field_names(section_class)),
    ]


def find_datasets_with_key(key: str) -> list[str]:
    """Return the kinds of data set with this key."""
    return [kind for kind, config_class in KIND_CLASSES["dataset"].items() if key in list_field_names(config_class)]


def list_defaults(section_class: type) -> dict[str, Any]:
    """Return the default of each field of a dataclass that was added later, and so is missing in users' own files."""
    return {field.name: field.default for field in fields(section_class) if field.default is not MISSING}


def list_field_names(section_class: type) -> tuple[str, ...]:
    """Return the names of the fields of a dataclass."""
    return tuple(field.name for field in fields(section_class))
