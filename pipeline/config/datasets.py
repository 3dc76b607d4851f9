"""The data sets: the options of each kind, and one entry with the facts that rules and the loading need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictBool
from pydantic.dataclasses import dataclass

from pipeline.config.strict_types import STRICT_CONFIG, StrictInt, entry_name

TargetKind = Literal["classes", "labels", "numbers"]
ALL_TARGET_KINDS: tuple[TargetKind, ...] = ("classes", "labels", "numbers")
ImageSize = Annotated[StrictInt, Field(ge=8, le=600)]
PATH_FIELDS = ("root", "file", "train", "test")
SUBJECT_TARGET_KINDS: Mapping[str, TargetKind] = {  # of the synthetic images
    "breed": "classes",
    "presence": "classes",
    "animals": "classes",
    "together": "labels",
    "age": "numbers",
    "daylight": "classes",
}


def _check_one_column(name: object) -> object:
    if isinstance(name, list | tuple):
        raise ValueError("one column; for several of 0 and 1 use dataset.targets")
    return name


OneColumn = Annotated[str | None, BeforeValidator(_check_one_column)]


@dataclass(frozen=True, config=STRICT_CONFIG)
class DatasetConfig:
    """Options of a data set, as typed; `kind` is the key of its entry in DATASETS."""

    kind: str

    @property
    def spec(self) -> DatasetSpec:
        """Return the facts of this kind of data set."""
        return DATASETS[self.kind]

    @property
    def target_kinds(self) -> tuple[TargetKind, ...]:
        """Return the kinds of targets that it can have with these options."""
        return self.spec.target_kinds

    @property
    def path(self) -> Path | None:
        """Return the file or folder of the user's own data; None for data that the program draws or downloads."""
        paths = (getattr(self, field, None) for field in PATH_FIELDS)
        return None if self.spec.is_downloaded else next((path for path in paths if path is not None), None)


@dataclass(frozen=True, config=STRICT_CONFIG)
class SyntheticImages(DatasetConfig):
    """Images of cats, lions, iguanas and empty scenes, drawn by the program."""

    kind: Literal["drawn"]
    subject: Annotated[str, entry_name(SUBJECT_TARGET_KINDS)]
    count: Annotated[StrictInt, Field(ge=60, le=100_000)]
    size: ImageSize
    seed: Annotated[StrictInt, Field(ge=0)]

    @property
    def target_kinds(self) -> tuple[TargetKind, ...]:
        """Return the kind of target of the subject."""
        return (SUBJECT_TARGET_KINDS[self.subject],)


@dataclass(frozen=True, config=STRICT_CONFIG)
class SyntheticHouses(DatasetConfig):
    """A table of houses whose prices follow a formula with noise."""

    kind: Literal["drawn_houses"]
    count: Annotated[StrictInt, Field(ge=60, le=1_000_000)]
    seed: Annotated[StrictInt, Field(ge=0)]


@dataclass(frozen=True, config=STRICT_CONFIG)
class ImageFolder(DatasetConfig):
    """Images in `train/<class>/` and `test/<class>/`, or in `<class>/`."""

    kind: Literal["folder"]
    root: Path
    size: ImageSize
    skip_bad: StrictBool


@dataclass(frozen=True, config=STRICT_CONFIG)
class LabeledImages(DatasetConfig):
    """Images listed in a CSV file: `path`, then a 0/1 column for each label or one number, optionally `split`."""

    kind: Literal["labels"]
    file: Path
    size: ImageSize
    skip_bad: StrictBool


@dataclass(frozen=True, config=STRICT_CONFIG)
class Hdf5(DatasetConfig):
    """Images [N, H, W, 3] and class codes [N] in HDF5 files."""

    kind: Literal["hdf5"]
    train: Path
    test: Path | None
    train_inputs: str
    train_targets: str
    test_inputs: str
    test_targets: str
    classes: str | None
    size: ImageSize


@dataclass(frozen=True, config=STRICT_CONFIG)
class TableFile(DatasetConfig):
    """A CSV or parquet file with one row an example.

    target: the column to predict, or targets: several columns of 0 and 1 in its place; missing: whether empty cells are
    imputed or refused.
    """

    kind: Literal["table"]
    file: Path
    target: OneColumn
    group: str | None
    ignore: tuple[str, ...]
    categories: tuple[str, ...]
    missing: Literal["impute", "refuse"]
    targets: tuple[str, ...] = ()

    @property
    def target_names(self) -> tuple[str, ...]:
        """Return the columns to predict."""
        return self.targets or (() if self.target is None else (self.target,))

    @property
    def target_kinds(self) -> tuple[TargetKind, ...]:
        """Return labels for several columns, otherwise classes and numbers."""
        return ("labels",) if self.targets else ("classes", "numbers")


@dataclass(frozen=True, config=STRICT_CONFIG)
class OxfordPets(DatasetConfig):
    """The Oxford-IIIT Pet photographs: the twelve cat breeds, or cat against dog."""

    kind: Literal["oxford_pets"]
    root: Path
    subject: Literal["breed", "presence"]
    size: ImageSize


@dataclass(frozen=True, config=STRICT_CONFIG)
class Cifar(DatasetConfig):
    """CIFAR photographs of 32x32: cat, lion and lizard, or cat against the rest of CIFAR-10."""

    kind: Literal["cifar"]
    root: Path
    subject: Literal["animals", "presence"]
    size: ImageSize


@plain_dataclass(frozen=True)
class DatasetSpec:
    """Facts of a kind of data set: an entry of DATASETS.

    description: the examples in words. loader: module and function below `pipeline.data`, with the arguments
    (dataset, target_kind, cache).
    inspector: such a function of the data set that returns the TargetSummary of its targets, without loading the rest.
    image_size: the side of the images in pixels with size=auto and no pretrained backbone.
    is_downloaded: whether the program fetches the files that are not there.
    """

    config_class: type[DatasetConfig]
    description: str
    loader: str
    target_kinds: tuple[TargetKind, ...]
    image_size: int = 64
    is_table: bool = False
    is_downloaded: bool = False
    inspector: str = ""


DATASETS: Mapping[str, DatasetSpec] = {
    "drawn": DatasetSpec(
        SyntheticImages, "synthetic images", "synthetic_images:load_synthetic_images", ALL_TARGET_KINDS
    ),
    "drawn_houses": DatasetSpec(
        SyntheticHouses,
        "synthetic houses",
        "sources.synthetic_houses:load_synthetic_houses",
        ("numbers",),
        is_table=True,
    ),
    "folder": DatasetSpec(
        ImageFolder,
        "images in folders, one per class",
        "sources.image_folder:load_image_folder",
        ("classes",),
        inspector="sources.image_folder:inspect_image_folder",
    ),
    "labels": DatasetSpec(
        LabeledImages,
        "images listed in a CSV file",
        "sources.labelled_csv:load_labelled_csv",
        ALL_TARGET_KINDS,
        inspector="sources.labelled_csv:inspect_labelled_csv",
    ),
    "hdf5": DatasetSpec(Hdf5, "images in HDF5 files", "sources.hdf5:load_hdf5", ("classes",)),
    "table": DatasetSpec(
        TableFile,
        "rows of a table",
        "sources.table:load_table",
        ALL_TARGET_KINDS,
        is_table=True,
        inspector="sources.table_targets:inspect_table",
    ),
    "oxford_pets": DatasetSpec(
        OxfordPets,
        "photographs of the Oxford-IIIT Pet dataset",
        "sources.downloads:load_oxford_pets",
        ("classes",),
        is_downloaded=True,
    ),
    "cifar": DatasetSpec(
        Cifar,
        "photographs of CIFAR-10 and CIFAR-100",
        "sources.downloads:load_cifar",
        ("classes",),
        image_size=32,
        is_downloaded=True,
    ),
}
