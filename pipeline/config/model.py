"""The network of a configuration: hidden layers, convolutional blocks and a backbone before them."""

from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, FailFast, Field, StrictBool
from pydantic.dataclasses import dataclass

from pipeline.config.backbone_catalogue import BACKBONES
from pipeline.config.strict_types import STRICT_CONFIG, FiniteFloat, SearchField, StrictInt

ActivationName = Literal["relu", "gelu", "tanh"]
Pooling = Literal["max", "average"]
NormName = Literal["none", "batch", "layer"]
FinetunePart = Literal["last", "all"]
MAX_HIDDEN_LAYERS = 20
MAX_CONV_BLOCKS = 8
MAX_CONV_CHANNELS = 4_096


def _check_kernel_size(size: int) -> int:  # not Literal[3, 5, 7], which takes 3.0 too
    if size not in (3, 5, 7):
        raise ValueError("3, 5 or 7")
    return size


def _check_pretrained(name: str) -> str:
    if name not in BACKBONES:
        raise ValueError("a backbone that has published weights")
    return name


KernelSize = Annotated[StrictInt, AfterValidator(_check_kernel_size)]
PretrainedName = Annotated[str, AfterValidator(_check_pretrained)]


@plain_dataclass(frozen=True)
class HiddenLayerSpace:
    """Settings of `Model.hidden`: number of layers, width, and the rule from one width to the next, in this order."""

    layers: Annotated[StrictInt, Field(ge=0, le=MAX_HIDDEN_LAYERS)]
    nodes: Annotated[StrictInt, Field(ge=1, le=65_536)]
    shape: Literal["free", "same", "taper"]


@plain_dataclass(frozen=True)
class ConvBlockSpace:
    """Settings of `Convolutions`: number of blocks, channels, the rule between them, in this order; then the others."""

    blocks: Annotated[StrictInt, Field(ge=1, le=MAX_CONV_BLOCKS)]
    channels: Annotated[StrictInt, Field(ge=1, le=MAX_CONV_CHANNELS)]
    growth: Literal["double", "same", "free"]
    kernel: KernelSize
    pooling: Pooling


@dataclass(frozen=True, config=STRICT_CONFIG)
class Convolutions:
    """Convolutional blocks before the hidden layers, with the channels of each; each halves the image by pooling."""

    channels: Annotated[
        tuple[Annotated[StrictInt, Field(ge=1, le=MAX_CONV_CHANNELS)], ...],
        Field(min_length=1, max_length=MAX_CONV_BLOCKS),
        FailFast(),
    ]
    kernel: KernelSize
    pooling: Pooling


@dataclass(frozen=True, config=STRICT_CONFIG)
class FinetuneSpec:
    """The finetuned part of a pretrained backbone: its last blocks, or all of it."""

    backbone: PretrainedName
    part: FinetunePart


@dataclass(frozen=True, config=STRICT_CONFIG)
class Model:
    """A network without its inputs and its head; hidden: the width of each hidden layer.

    convolutions, tail: the layers before them, if any. norm: of the sums of a hidden layer, before its activation;
    residual: a hidden layer adds its input to its output if the hidden layer before it is as wide. A file does not have
    the key of one of these four that is None, none or false.
    """

    hidden: Annotated[
        tuple[Annotated[StrictInt, Field(ge=1, le=65_536)], ...], Field(max_length=MAX_HIDDEN_LAYERS), FailFast()
    ]
    activation: Annotated[ActivationName, SearchField(active_with=("nodes", "channels"))]
    dropout: Annotated[FiniteFloat, Field(ge=0, lt=1), SearchField(active_with=("nodes",))]
    convolutions: Annotated[Convolutions | None, Field(exclude_if=lambda value: value is None)] = None
    tail: Annotated[FinetuneSpec | None, Field(exclude_if=lambda value: value is None)] = None
    norm: Annotated[NormName, Field(exclude_if=lambda norm: norm == "none"), SearchField(active_with=("nodes",))] = (
        "none"
    )
    residual: Annotated[
        StrictBool, Field(exclude_if=lambda residual: not residual), SearchField(active_with=("nodes",))
    ] = False

    @property
    def has_plain_layers(self) -> bool:
        """Return whether all layers are fully connected, one after the other, with no normalization."""
        return self.convolutions is None and self.norm == "none" and not self.residual


@dataclass(frozen=True, config=STRICT_CONFIG)
class BackboneConfig:
    """The network between the images and the hidden layers; `pixels` is none.

    weights: a file of a pretrained backbone's weights, instead of the published ones.
    finetune: none: its outputs are computed once; last, all: its last blocks, or all of them, are finetuned.
    """

    name: str
    weights: Path | None
    finetune: Literal["none", "last", "all"]

    @property
    def is_pretrained(self) -> bool:
        """Return whether it has published weights."""
        return self.name in BACKBONES

    @property
    def finetune_part(self) -> FinetunePart | None:
        """Return the finetuned part, if any; the hidden layers are first trained on outputs that are computed once."""
        return None if self.finetune == "none" else self.finetune
