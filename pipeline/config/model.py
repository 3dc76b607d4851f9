"""What a configuration may say of a network: its hidden layers, and what stands in front of them."""

from __future__ import annotations

from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, FailFast, Field
from pydantic.dataclasses import dataclass

from pipeline.config.backbone_catalogue import PRETRAINED
from pipeline.config.strict_types import STRICT, Real, Whole

Activation = Literal["relu", "gelu", "tanh"]
Shape = Literal["free", "same", "taper"]
Growth = Literal["double", "same", "free"]
Pooling = Literal["max", "average"]
MOST_LAYERS, MOST_BLOCKS, MOST_CHANNELS = 20, 8, 4_096


def _kernel(side: int) -> int:
    if side not in (3, 5, 7):
        raise ValueError("3, 5 or 7")
    return side


Kernel = Annotated[Whole, AfterValidator(_kernel)]


@plain_dataclass(frozen=True)
class Layout:
    """How many hidden layers and how wide: the three fields that `Model.hidden` is derived from."""

    layers: Annotated[Whole, Field(ge=0, le=MOST_LAYERS)]
    nodes: Annotated[Whole, Field(ge=1, le=65_536)]
    shape: Shape


@plain_dataclass(frozen=True)
class Blocks:
    """How many blocks of convolutions and how wide: what `Convolutions` is derived from."""

    blocks: Annotated[Whole, Field(ge=1, le=MOST_BLOCKS)]
    channels: Annotated[Whole, Field(ge=1, le=MOST_CHANNELS)]
    growth: Growth
    kernel: Kernel
    pooling: Pooling


@dataclass(frozen=True, config=STRICT)
class Convolutions:
    """Blocks in front of the hidden layers: the channels of each; each halves the sides of its pictures by pooling."""

    channels: Annotated[
        tuple[Annotated[Whole, Field(ge=1, le=MOST_CHANNELS)], ...],
        Field(min_length=1, max_length=MOST_BLOCKS),
        FailFast(),
    ]
    kernel: Kernel
    pooling: Pooling


def _pretrained(name: str) -> str:
    if name not in PRETRAINED:
        raise ValueError("a backbone that has published weights")
    return name


Pretrained = Annotated[str, AfterValidator(_pretrained)]
Part = Literal["last", "all"]


@dataclass(frozen=True, config=STRICT)
class Tail:
    """What of a pretrained backbone is trained along: its last blocks, or all of it."""

    backbone: Pretrained
    part: Part


@dataclass(frozen=True, config=STRICT)
class Model:
    """A network apart from its inputs and its head: the width of each hidden layer, and what is between them.

    convolutions, tail: what stands in front of them, if anything; without, a file does not have the word either.
    """

    hidden: Annotated[tuple[Annotated[Whole, Field(ge=1, le=65_536)], ...], Field(max_length=MOST_LAYERS), FailFast()]
    activation: Activation
    dropout: Annotated[Real, Field(ge=0, lt=1)]
    convolutions: Annotated[Convolutions | None, Field(exclude_if=lambda value: value is None)] = None
    tail: Annotated[Tail | None, Field(exclude_if=lambda value: value is None)] = None


@dataclass(frozen=True, config=STRICT)
class Backbone:
    """What stands between the pictures and the hidden layers; `pixels` is nothing.

    weights: a file of a pretrained backbone's weights, instead of the published ones.
    finetune: none: its outputs are computed once; last, all: its last blocks, or all of them, are trained along.
    """

    name: str
    weights: Path | None
    finetune: Literal["none", "last", "all"]

    @property
    def pretrained(self) -> bool:
        """Whether it comes with weights."""
        return self.name in PRETRAINED

    @property
    def part(self) -> Part | None:
        """What of it is trained along, if anything; the hidden layers then start on outputs that are computed once."""
        return None if self.finetune == "none" else self.finetune
