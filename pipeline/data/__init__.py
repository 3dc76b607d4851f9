"""Load a configured data set as Examples."""

from importlib import import_module
from pathlib import Path

from pipeline.config.datasets import DatasetConfig, TargetKind
from pipeline.data.examples import DataError, Examples
from pipeline.runtime.text import MAX_NAME_CHARS, join_names

TARGET_KIND_DESCRIPTIONS: dict[TargetKind, str] = {
    "classes": "one class a row: head=softmax, or head=sigmoid for two",
    "labels": "several labels a row: head=sigmoids",
    "numbers": "a number a row: head=number or head=bands",
}


def load_examples(dataset: DatasetConfig, target_kind: TargetKind, cache: Path) -> Examples:
    """Load a data set with the kind of target that a head needs; decoded images are cached in the folder `cache`.

    Raises DataError if the data cannot be read or have no such targets.
    """
    _check_target_kind(dataset, target_kind, dataset.target_kinds)
    # Imported here, with its library (h5py, pandas, torchvision), since a prediction starts faster without.
    module, _, function = dataset.spec.loader.partition(":")
    examples: Examples = getattr(import_module(f"{__name__}.{module}"), function)(dataset, target_kind, cache)
    _check_target_kind(dataset, target_kind, (examples.target_kind,))
    _check_classes(examples)
    return examples


def _check_target_kind(dataset: DatasetConfig, target_kind: TargetKind, supported: tuple[TargetKind, ...]) -> None:
    if target_kind not in supported:
        given = " or ".join(TARGET_KIND_DESCRIPTIONS[kind] for kind in supported)
        needed = TARGET_KIND_DESCRIPTIONS[target_kind].split(":")[0]
        raise DataError(f"dataset={dataset.kind} gives {given}; the head asks for {needed}")


def _check_classes(examples: Examples) -> None:
    """Raise DataError unless there are two classes or more, each with a unique name that a model file can store."""
    names = examples.classes
    if examples.target_kind == "classes" and len(names) < 2:
        raise DataError(f"dataset: at least two classes; got {join_names(names)} in every one of {len(examples)} rows")
    if long_names := [name for name in names if len(name) > MAX_NAME_CHARS]:
        rule = f"a class has a name of at most {MAX_NAME_CHARS:,} characters"
        raise DataError(f"dataset: {rule}; got {join_names(long_names)}")
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"dataset: each class has its own name; got twice: {join_names(duplicates)}")
