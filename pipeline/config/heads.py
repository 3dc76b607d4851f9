"""The heads of a network: the options of each, and one entry with the facts that rules and other packages need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Literal

from pydantic import Field, StrictBool
from pydantic.dataclasses import dataclass

from pipeline.config.datasets import TargetKind
from pipeline.config.metrics import METRICS, Metric, PredictionKind
from pipeline.config.strict_types import STRICT_CONFIG, FiniteFloat

LossName = Literal["l1", "l2", "huber", "quantile"]
TransformName = Literal["none", "log", "sqrt"]


@dataclass(frozen=True, config=STRICT_CONFIG)
class HeadConfig:
    """Options of a head, as typed; `kind` is the key of its entry in HEADS."""

    kind: str

    @property
    def spec(self) -> HeadSpec:
        """Return the facts of this kind of head."""
        return HEADS[self.kind]


@dataclass(frozen=True, config=STRICT_CONFIG)
class SoftmaxConfig(HeadConfig):
    """Exactly one of several classes: softmax, cross-entropy; balance: rare classes weigh as much as frequent ones."""

    kind: Literal["softmax"]
    balance: StrictBool = False


@dataclass(frozen=True, config=STRICT_CONFIG)
class SigmoidConfig(HeadConfig):
    """One of two classes: one sigmoid, binary cross-entropy; balance: as with softmax."""

    kind: Literal["sigmoid"]
    balance: StrictBool = False


@dataclass(frozen=True, config=STRICT_CONFIG)
class SigmoidsConfig(HeadConfig):
    """Any number of labels: a sigmoid each, the sum of the labels' binary cross-entropies; balance: for each label."""

    kind: Literal["sigmoids"]
    balance: StrictBool = False


@dataclass(frozen=True, config=STRICT_CONFIG)
class NumberConfig(HeadConfig):
    """A number: one output, ReLU (never below 0) or identity; by mean absolute (l1) or squared (l2) error or between.

    transform: log or sqrt: the network learns that of the target; predictions and metrics remain in its own unit.
    quantile: of loss=quantile: the share of targets that lie below the predictions.
    """

    kind: Literal["number"]
    output: Literal["relu", "identity"]
    loss: LossName
    unit: str
    transform: TransformName = "none"
    quantile: Annotated[FiniteFloat, Field(gt=0, lt=1)] = 0.5


@dataclass(frozen=True, config=STRICT_CONFIG)
class BandsConfig(HeadConfig):
    """A number cut into bands at the edges: softmax over the bands, and a number; balance: as with softmax."""

    kind: Literal["bands"]
    edges: Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]
    unit: str
    balance: StrictBool = False


@plain_dataclass(frozen=True)
class HeadSpec:
    """Facts of a kind of head: an entry of HEADS.

    prediction_kinds: those that metrics can score, the preferred kind first. runtime_class: module and class below
    `pipeline.models.heads`. default_metric: what metric=auto stands for.
    condition: text after its name in a message that recommends it.
    """

    config_class: type[HeadConfig]
    target_kind: TargetKind
    prediction_kinds: tuple[PredictionKind, ...]
    runtime_class: str
    default_metric: str
    condition: str = ""

    @property
    def metrics(self) -> list[Metric]:
        """Return the metrics that can score this head."""
        return [metric for metric in METRICS.values() if set(metric.scorers) & set(self.prediction_kinds)]


HEADS: Mapping[str, HeadSpec] = {
    "softmax": HeadSpec(SoftmaxConfig, "classes", ("classes",), "classification:SoftmaxHead", "accuracy"),
    "sigmoid": HeadSpec(
        SigmoidConfig, "classes", ("classes",), "classification:SigmoidHead", "accuracy", " for two classes"
    ),
    "sigmoids": HeadSpec(SigmoidsConfig, "labels", ("labels",), "classification:SigmoidsHead", "f1_macro"),
    "number": HeadSpec(NumberConfig, "numbers", ("numbers",), "regression:NumberHead", "mean_absolute_error"),
    "bands": HeadSpec(BandsConfig, "numbers", ("classes", "numbers", "bands"), "regression:BandsHead", "accuracy"),
}


def recommend_heads(target_kind: TargetKind) -> str:
    """Return the heads for a kind of target, as a message recommends them."""
    specs = {kind: spec for kind, spec in HEADS.items() if spec.target_kind == target_kind}
    return " or ".join(f"head={kind}{spec.condition}" for kind, spec in specs.items())
