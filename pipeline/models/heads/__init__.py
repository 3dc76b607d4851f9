"""Heads, which give the outputs of a network their meaning; `build_head` makes one for a configuration and examples."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.config import schema
from pipeline.data.examples import Examples
from pipeline.models.heads import metrics
from pipeline.models.heads.base import Head, Scores
from pipeline.models.heads.classification import SigmoidHead, SigmoidsHead, SoftmaxHead
from pipeline.models.heads.regression import BandsHead, NumberHead
from pipeline.runtime.errors import UserError
from pipeline.runtime.text import join_names

AnyHead = Annotated[SoftmaxHead | SigmoidHead | SigmoidsHead | NumberHead | BandsHead, Field(discriminator="kind")]

__all__ = [
    "AnyHead",
    "BandsHead",
    "Head",
    "NumberHead",
    "Scores",
    "SigmoidHead",
    "SigmoidsHead",
    "SoftmaxHead",
    "build_head",
]


def build_head(config: schema.HeadConfig, examples: Examples) -> AnyHead:
    """Return the head of a configuration for these examples.

    Raises UserError for a sigmoid on other than two classes, or a ReLU output on negative targets.
    """
    metrics.import_torchmetrics()
    match config:
        case schema.Softmax():
            return SoftmaxHead("softmax", examples.classes)
        case schema.Sigmoid():
            return _build_sigmoid_head(examples.classes)
        case schema.Sigmoids():
            return SigmoidsHead("sigmoids", examples.classes)
        case schema.Number():
            return _build_number_head(config, float(examples.targets.min()))
        case schema.Bands():
            return BandsHead("bands", config.edges, config.unit)


def _build_sigmoid_head(classes: tuple[str, ...]) -> SigmoidHead:
    if len(classes) != 2:
        raise UserError(
            f"head=sigmoid answers between two classes; got {len(classes)}: {join_names(classes)}; use head=softmax"
        )
    return SigmoidHead("sigmoid", (classes[0], classes[1]))


def _build_number_head(config: schema.Number, min_target: float) -> NumberHead:
    if config.output == "relu" and min_target < 0:
        raise UserError(
            f"head.output=relu never answers below 0; got a target of {min_target:g}; use head.output=identity"
        )
    return NumberHead("number", config.output, config.loss, config.unit)
