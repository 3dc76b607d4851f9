"""The kinds of data set: one frozen dataclass a file in conf/dataset/, and what a person may write in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StrictBool
from pydantic.dataclasses import dataclass

from pipeline.config.strict_types import STRICT, Whole

Subject = Literal["breed", "presence", "animals", "together", "age", "daylight"]
PictureSide = Annotated[Whole, Field(ge=8, le=600)]


@dataclass(frozen=True, config=STRICT)
class Drawn:
    """Pictures of cats, lions, iguanas and empty scenes that the program draws itself."""

    kind: Literal["drawn"]
    subject: Subject
    count: Annotated[Whole, Field(ge=60, le=100_000)]
    size: PictureSide
    seed: Annotated[Whole, Field(ge=0)]


@dataclass(frozen=True, config=STRICT)
class DrawnHouses:
    """Houses and their prices by a formula with noise."""

    kind: Literal["drawn_houses"]
    count: Annotated[Whole, Field(ge=60, le=1_000_000)]
    seed: Annotated[Whole, Field(ge=0)]


@dataclass(frozen=True, config=STRICT)
class Folder:
    """Pictures in `train/<class>/` and `test/<class>/`, or just in `<class>/`."""

    kind: Literal["folder"]
    root: Path
    size: PictureSide
    skip_bad: StrictBool


@dataclass(frozen=True, config=STRICT)
class Labels:
    """Pictures named in a CSV file: `path`, then a 0/1 column for each label or one number, optionally `split`."""

    kind: Literal["labels"]
    file: Path
    size: PictureSide
    skip_bad: StrictBool


@dataclass(frozen=True, config=STRICT)
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
    size: PictureSide


@dataclass(frozen=True, config=STRICT)
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


@dataclass(frozen=True, config=STRICT)
class OxfordPets:
    """The Oxford-IIIT Pet photographs: the twelve cat breeds, or cat against dog."""

    kind: Literal["oxford_pets"]
    root: Path
    subject: Literal["breed", "presence"]
    size: PictureSide


@dataclass(frozen=True, config=STRICT)
class Cifar:
    """CIFAR photographs of 32x32: cat, lion and lizard, or cat against the rest of CIFAR-10."""

    kind: Literal["cifar"]
    root: Path
    subject: Literal["animals", "presence"]
    size: PictureSide


Dataset = Drawn | DrawnHouses | Folder | Labels | Hdf5 | TableFile | OxfordPets | Cifar
TABLES = (TableFile, DrawnHouses)
