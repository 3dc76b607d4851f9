"""Heads, which give the outputs of a network their meaning; `build_head` makes one for a configuration and examples."""

from __future__ import annotations

from functools import reduce
from operator import or_
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pipeline.config.heads import HEADS, HeadConfig
from pipeline.data.examples import Examples
from pipeline.models.heads import metrics
from pipeline.models.heads.base import Head, Scores
from pipeline.models.heads.classification import SigmoidHead, SigmoidsHead, SoftmaxHead
from pipeline.models.heads.regression import BandsHead, NumberHead

__all__ = ["AnyHead", "BandsHead", "Head", "NumberHead", "Scores", "SigmoidHead", "SigmoidsHead", "SoftmaxHead"]


RUNTIME_CLASSES: dict[str, type[Head]] = {
    kind: resolve_name(f"{__name__}.{spec.runtime_class}") for kind, spec in HEADS.items()
}
if TYPE_CHECKING:
    AnyHead = Head
else:  # a file's head is validated by the class of its kind, so the union is made of the registry's classes
    AnyHead = Annotated[reduce(or_, RUNTIME_CLASSES.values()), Field(discriminator="kind")]


def build_head(config: HeadConfig, examples: Examples) -> AnyHead:
    """Return the head of a configuration for these examples.

    Raises UserError for a sigmoid on other than two classes, or a ReLU output on negative targets.
    """
    metrics.import_torchmetrics()
    return RUNTIME_CLASSES[config.kind].from_config(config, examples)
