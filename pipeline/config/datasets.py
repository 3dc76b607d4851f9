"""The kinds of data set: one frozen dataclass a file in conf/dataset/, and what a person may write in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StrictBool
from pydantic.dataclasses import dataclass

from pipeline.config.strict_types import STRICT_CONFIG, StrictInt

Subject = Literal["breed", "presence", "animals", "together", "age", "daylight"]
TargetKind = Literal["classes", "labels", "numbers"]
ImageSize = Annotated[StrictInt, Field(ge=8, le=600)]


@dataclass(frozen=True, config=STRICT_CONFIG)
class SyntheticImages:
    """Pictures of cats, lions, iguanas and empty scenes that the program draws itself."""

    kind: Literal["drawn"]
    subject: Subject
    count: Annotated[StrictInt, Field(ge=60, le=100_000)]
    size: ImageSize
    seed: Annotated[StrictInt, Field(ge=0)]


@dataclass(frozen=True, config=STRICT_CONFIG)
class SyntheticHouses:
    """Houses and their prices by a formula with noise."""

    kind: Literal["drawn_houses"]
    count: Annotated[StrictInt, Field(ge=60, le=1_000_000)]
    seed: Annotated[StrictInt, Field(ge=0)]


@dataclass(frozen=True, config=STRICT_CONFIG)
class ImageFolder:
    """Pictures in `train/<class>/` and `test/<class>/`, or just in `<class>/`."""

    kind: Literal["folder"]
    root: Path
    size: ImageSize
    skip_bad: StrictBool


@dataclass(frozen=True, config=STRICT_CONFIG)
class LabeledImages:
    """Pictures named in a CSV file: `path`, then a 0/1 column for each label or one number, optionally `split`."""

    kind: Literal["labels"]
    file: Path
    size: ImageSize
    skip_bad: StrictBool


@dataclass(frozen=True, config=STRICT_CONFIG)
class Hdf5:
    """Pictures [N, H, W, 3] and class numbers [N] in HDF5 files."""

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
class TableFile:
    """A CSV or parquet file with one row an example.

    missing: cells without a value are replaced by what the training rows have, and counted, or they are a mistake.
    """

    kind: Literal["table"]
    file: Path
    target: str
    group: str | None
    ignore: tuple[str, ...]
    categories: tuple[str, ...]
    missing: Literal["impute", "refuse"]


@dataclass(frozen=True, config=STRICT_CONFIG)
class OxfordPets:
    """The Oxford-IIIT Pet photographs: the twelve cat breeds, or cat against dog."""

    kind: Literal["oxford_pets"]
    root: Path
    subject: Literal["breed", "presence"]
    size: ImageSize


@dataclass(frozen=True, config=STRICT_CONFIG)
class Cifar:
    """CIFAR photographs of 32x32: cat, lion and lizard, or cat against the rest of CIFAR-10."""

    kind: Literal["cifar"]
    root: Path
    subject: Literal["animals", "presence"]
    size: ImageSize


DatasetConfig = SyntheticImages | SyntheticHouses | ImageFolder | LabeledImages | Hdf5 | TableFile | OxfordPets | Cifar
TABLE_DATASETS = (TableFile, SyntheticHouses)
