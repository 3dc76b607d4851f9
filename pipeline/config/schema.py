"""The frozen dataclasses of a checked configuration."""

import re
from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, StrictBool
from pydantic.dataclasses import dataclass

from pipeline.config.datasets import DatasetConfig
from pipeline.config.final_models import FinalModelKind
from pipeline.config.heads import HeadConfig
from pipeline.config.metrics import Metric
from pipeline.config.model import BackboneConfig
from pipeline.config.search_methods import OPTIMIZERS, Pruner, Sampler
from pipeline.config.strict_types import STRICT_CONFIG, FiniteFloat, SearchField, StrictInt, entry_name

NumberEncoding = Literal["standard", "quantile", "piecewise"]
MAX_BINS = 256
MAX_VIEWS = 12  # the image and five crops, each also mirrored; more would repeat: see `apply_view`


def _check_count(count: object) -> object:
    if count != "auto" and not (type(count) is int and 1 <= count <= 256):
        raise ValueError("a whole number from 1 to 256, or auto")
    return count


def _check_one_line(text: str) -> str:
    if len(text) > 300 or not text.isprintable():
        raise ValueError("one line of at most 300 letters")
    return text


def _check_study_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ValueError("letters, digits, dots, dashes and underscores, at most 100, a letter or digit first")
    return name


ScheduleName = Literal["constant", "cosine", "one_cycle"]
ReferenceName = Literal["trees", "linear"]
CountOrAuto = Annotated[int | Literal["auto"], PlainValidator(_check_count)]
OneLineText = Annotated[str, AfterValidator(_check_one_line)]
StudyName = Annotated[str, AfterValidator(_check_study_name)]


@plain_dataclass(frozen=True)
class FinetuneTraining:
    """Finetuning of a part of the backbone, after the head was trained on the pretrained features.

    backbone_learning_rate: for the backbone; the head continues with its own.
    """

    backbone_epochs: Annotated[StrictInt, Field(ge=1, le=100_000)]
    backbone_learning_rate: Annotated[FiniteFloat, Field(gt=0, le=100)]


@plain_dataclass(frozen=True)
class Training:
    """Hyperparameters of training.

    patience: epochs without a better mean score that end a trial with a constant rate; None: never. A rate that falls
    is lowest, and its scores best, in the last epochs: they are always trained.
    flip: mirror images left to right with probability 0.5; shift: move them by at most this number of pixels.
    label_smoothing: the share of a target that is spread over all classes (Szegedy et al. 2016, arXiv:1512.00567).
    ema_decay: of the running mean of the weights, a step; the mean predicts. 0: none, or 0.98 with convolutions.
    schedule: of the learning rate, over all `epochs`; finetuning has another over its own. The epochs of two trials
    with one schedule and equally many epochs are at the same share of it, so that pruning compares like with like.
    warmup_ratio: share of the steps in which the rate rises to `learning_rate`; 0: none, or 0.3 of one_cycle.
    gradient_clip: the largest norm of the gradient over all parameters; a longer one is scaled to it. None: no limit.
    finetuning: of a part of the backbone, if any.
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
    ema_decay: Annotated[FiniteFloat, Field(ge=0, lt=1)] = 0.0
    schedule: ScheduleName = "constant"
    warmup_ratio: Annotated[FiniteFloat, Field(ge=0, lt=1)] = 0.0
    gradient_clip: Annotated[FiniteFloat, Field(gt=0)] | None = None
    finetuning: FinetuneTraining | None = None

    @property
    def active_patience(self) -> int | None:
        """Return the epochs without a better mean score that end a trial, or None if none do."""
        return self.patience if self.schedule == "constant" else None

    @property
    def has_constant_rate(self) -> bool:
        """Return whether every step has the same learning rate."""
        return self.schedule == "constant" and self.warmup_ratio == 0

    @property
    def total_epochs(self) -> int:
        """Return the epochs of the head and of finetuning after it."""
        return self.epochs + (self.finetuning.backbone_epochs if self.finetuning is not None else 0)


@dataclass(frozen=True, config=STRICT_CONFIG)
class FeaturesConfig:
    """How examples become the inputs of a network.

    views: number of augmented copies of each image from which a frozen backbone extracts features.
    numbers: of a table: standardized, mapped to a normal distribution by their quantiles, or encoded in quantile bins
    beside the standardized and clipped number. bins: maximum number of bins of a column.
    """

    views: Annotated[StrictInt, Field(ge=1, le=MAX_VIEWS)]
    numbers: NumberEncoding = "standard"
    bins: Annotated[StrictInt, Field(ge=2, le=MAX_BINS)] = 32


@dataclass(frozen=True, config=STRICT_CONFIG)
class CacheConfig:
    """max_gb: maximum size of the store's cache; the least recently used data are removed first."""

    max_gb: Annotated[FiniteFloat, Field(gt=0)]


@plain_dataclass(frozen=True)
class SearchSpace:
    """A value or a range for each searchable field by full key, such as `training.learning_rate`."""

    settings: Mapping[str, Any]


@dataclass(frozen=True, config=STRICT_CONFIG)
class CrossValidationConfig:
    """folds: number of splits; repeats: number of shuffles; test: share of the test set if the data set has none."""

    folds: Annotated[StrictInt, Field(ge=2, le=100)]
    repeats: Annotated[StrictInt, Field(ge=1, le=100)]
    test: Annotated[FiniteFloat, Field(gt=0, le=0.5)]


@dataclass(frozen=True, config=STRICT_CONFIG)
class BudgetConfig:
    """trials: their number over all calls; minutes: time after which this call starts no new trial."""

    trials: Annotated[StrictInt, Field(ge=1)]
    minutes: Annotated[FiniteFloat, Field(gt=0)] | None


@dataclass(frozen=True, config=STRICT_CONFIG)
class ComputeConfig:
    """Device, precision of matrix products (bf16: with fp32 weights), and parallel training.

    workers: processes that train trials on a CPU, with one core each; auto: one a core. stack: maximum number of trials
    of one shape in a process's stack; auto: as many as are faster together and fit into a GPU's free memory.
    """

    device: Literal["auto", "cpu", "gpu"]
    precision: Literal["auto", "fp32", "bf16"]
    workers: CountOrAuto
    stack: CountOrAuto


@dataclass(frozen=True, config=STRICT_CONFIG)
class TrackingConfig:
    """uri: an MLflow tracking address instead of `<store>/mlflow.db`."""

    uri: str | None


@plain_dataclass(frozen=True)
class Search:
    """One search.

    question: the task in a sentence. baseline: the space of the same command without ranges, trial 0.
    champion: how the final model is made from the best trial. references: models of scikit-learn to compare it with.
    overrides: as typed, with what was chosen in place of `auto`; note: says what was chosen, in one line, or is "".
    config_dir: the folder of the user's own tasks, if any.
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
    champion: FinalModelKind
    references: tuple[ReferenceName, ...]
    seed: int
    study: str | None
    store: Path
    cache: CacheConfig
    compute: ComputeConfig
    tracking: TrackingConfig
    overrides: tuple[str, ...]
    config_dir: Path | None
    yaml: str
    note: str = ""
