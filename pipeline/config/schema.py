"""The frozen dataclasses a configuration becomes; they travel through the whole program."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, StrictBool
from pydantic.dataclasses import dataclass

from pipeline.config.datasets import DatasetConfig
from pipeline.config.heads import HeadConfig
from pipeline.config.metrics import Metric
from pipeline.config.model import BackboneConfig
from pipeline.config.search_methods import OPTIMIZERS, Pruner, Sampler
from pipeline.config.strict_types import STRICT_CONFIG, FiniteFloat, SearchField, StrictInt, entry_name

MAX_VIEWS = 12  # as it is and five times closer up, each mirrored too: see `backbones.views`


@plain_dataclass(frozen=True)
class FinetuneTraining:
    """How a part of the backbone is trained along, once the head has been trained on what it was: how long, how fast.

    The learning rate is the backbone's; the head goes on with its own.
    """

    backbone_epochs: Annotated[StrictInt, Field(ge=1, le=100_000)]
    backbone_learning_rate: Annotated[FiniteFloat, Field(gt=0, le=100)]


@plain_dataclass(frozen=True)
class Training:
    """How a network is trained.

    patience: a trial ends after so many epochs without a better mean score; null: never.
    flip: pictures are mirrored left to right half of the time; shift: and moved by up to so many pixels.
    tuning: how the part of a backbone is trained that is trained along, if one is.
    label_smoothing: the share of a target that is spread over all classes (Szegedy et al. 2016, arXiv:1512.00567).
    """

    epochs: Annotated[StrictInt, Field(ge=1, le=100_000)]
    batch_size: Annotated[StrictInt, Field(ge=1, le=65_536)]
    learning_rate: Annotated[FiniteFloat, Field(gt=0, le=100)]
    weight_decay: Annotated[FiniteFloat, Field(ge=0, le=100)]
    optimizer: Annotated[str, entry_name(OPTIMIZERS)]
    patience: Annotated[StrictInt, Field(ge=1)] | None
    flip: StrictBool
    shift: Annotated[StrictInt, Field(ge=0, le=64)]
    label_smoothing: Annotated[FiniteFloat, Field(ge=0, lt=1), SearchField(heads=("softmax", "bands"))] = 0.0
    finetuning: FinetuneTraining | None = None

    @property
    def total_epochs(self) -> int:
        """Of the head, and of the part of the backbone that is trained along after it."""
        return self.epochs + (self.finetuning.backbone_epochs if self.finetuning is not None else 0)


def _check_views(views: int) -> int:
    if not 1 <= views <= MAX_VIEWS:
        raise ValueError(f"from 1 to {MAX_VIEWS}, of which no two are alike")
    return views


@dataclass(frozen=True, config=STRICT_CONFIG)
class FeaturesConfig:
    """views: of how many changed copies of each picture a frozen backbone's outputs are computed."""

    views: Annotated[StrictInt, AfterValidator(_check_views)]


@dataclass(frozen=True, config=STRICT_CONFIG)
class CacheConfig:
    """max_gb: how large the store's cache may grow; the data that were not used for longest go first."""

    max_gb: Annotated[FiniteFloat, Field(gt=0)]


@plain_dataclass(frozen=True)
class SearchSpace:
    """A value or a range for every searchable field, by its full key, such as `training.learning_rate`."""

    settings: Mapping[str, Any]


@dataclass(frozen=True, config=STRICT_CONFIG)
class CrossValidationConfig:
    """folds: how many splits; repeats: how often, differently shuffled; test: the share held out for the end.

    `test` counts only where the data set has no test part of its own.
    """

    folds: Annotated[StrictInt, Field(ge=2, le=100)]
    repeats: Annotated[StrictInt, Field(ge=1, le=100)]
    test: Annotated[FiniteFloat, Field(gt=0, le=0.5)]


@dataclass(frozen=True, config=STRICT_CONFIG)
class BudgetConfig:
    """trials: how many in total, over all calls; minutes: no new trial of this call starts after so many."""

    trials: Annotated[StrictInt, Field(ge=1)]
    minutes: Annotated[FiniteFloat, Field(gt=0)] | None


def _check_count(count: object) -> object:
    if count != "auto" and not (type(count) is int and 1 <= count <= 256):
        raise ValueError("a whole number from 1 to 256, or auto")
    return count


CountOrAuto = Annotated[int | Literal["auto"], PlainValidator(_check_count)]


@dataclass(frozen=True, config=STRICT_CONFIG)
class ComputeConfig:
    """Where it is computed, how exactly the products are (fp32, or bf16 with fp32 weights), and by how many processes.

    workers: more than one train trials at once on a CPU, each with one core; auto: one a core. stack: at most so many
    trials of one shape are trained side by side in a process; auto: as many as pay, and fit into a GPU's free memory.
    """

    device: Literal["auto", "cpu", "gpu"]
    precision: Literal["auto", "fp32", "bf16"]
    workers: CountOrAuto
    stack: CountOrAuto


@dataclass(frozen=True, config=STRICT_CONFIG)
class TrackingConfig:
    """uri: an MLflow tracking address instead of `<store>/mlflow.db`."""

    uri: str | None


def _check_one_line(text: str) -> str:
    if len(text) > 300 or not text.isprintable():
        raise ValueError("one line of at most 300 letters")
    return text


OneLineText = Annotated[str, AfterValidator(_check_one_line)]


def _check_study_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ValueError("letters, digits, dots, dashes and underscores, at most 100, a letter or digit first")
    return name


StudyName = Annotated[str, AfterValidator(_check_study_name)]


@plain_dataclass(frozen=True)
class Search:
    """Everything one search needs to know.

    baseline: the same command with no range in it, trial 0. typed: the words of the command, as they were typed.
    config_dir: the folder of a person's own tasks, if one was named. question: what is asked, in a sentence.
    """

    task: str
    question: str
    dataset: DatasetConfig
    backbone: BackboneConfig
    features: FeaturesConfig
    head: HeadConfig
    metric: Metric
    space: SearchSpace
    baseline: SearchSpace
    cv: CrossValidationConfig
    budget: BudgetConfig
    sampler: Sampler
    pruner: Pruner
    seed: int
    study: str | None
    store: Path
    cache: CacheConfig
    compute: ComputeConfig
    tracking: TrackingConfig
    overrides: tuple[str, ...]
    config_dir: Path | None
    yaml: str
