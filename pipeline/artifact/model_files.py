"""A trained model as two files: architecture.json and parameters.safetensors; loading them runs no code of theirs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, Strict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from torch import Tensor

from pipeline.artifact import tensors as parameters
from pipeline.config.model import Model, Tail
from pipeline.config.strict_types import STRICT, Whole
from pipeline.data.examples import Features, Raw
from pipeline.models import networks
from pipeline.models.heads import AnyHead
from pipeline.models.networks import Network, Tuned
from pipeline.preprocessing import Constants, FeatureInputs, Inputs, PictureInputs, TableInputs, Text
from pipeline.preprocessing.backbone_activations import DeepRows
from pipeline.runtime import untrusted
from pipeline.runtime.files import write_folder
from pipeline.runtime.text import printable
from pipeline.runtime.untrusted import RefusedError, shown
from pipeline.training.engine import State

ARCHITECTURE, PARAMETERS = "architecture.json", "parameters.safetensors"
MOST_WORDS, MOST_NUMBERS = 2**22, 2**31  # bytes of architecture.json, bytes of numbers beside it
MOST_PARAMETERS = MOST_NUMBERS // 4  # of four bytes each
AT_ONCE = 32  # pictures, where a part of a backbone looks at them
WAY_OUT = f"a model is {ARCHITECTURE} and {PARAMETERS} in one folder, as one search wrote them"
AnyInputs = Annotated[PictureInputs | FeatureInputs | TableInputs, Field(discriminator="kind")]


class ModelError(Exception):
    """Files that are no model of ours: which file, what is wrong, and the way out, in one line."""


@dataclass(frozen=True, config=STRICT)
class Architecture:
    """What a model is, apart from its numbers; a closed vocabulary.

    parameters: how many numbers were learned. parameters_sha256: of the whole parameters file that belongs to it.
    drawn: it learned from what the program made up.
    """

    format: Annotated[Whole, Field(ge=1, le=1)]
    task: Text
    inputs: AnyInputs
    model: Model
    head: AnyHead
    parameters: Annotated[Whole, Field(ge=1, le=MOST_NUMBERS)]
    parameters_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    drawn: Annotated[bool, Strict(), Field(exclude_if=lambda drawn: not drawn)] = False

    def canonical(self) -> bytes:
        """The same bytes for the same architecture: sorted keys, no spaces, without the hash of the parameters."""
        plain = json.loads(ADAPTER.dump_json(self))
        del plain["parameters_sha256"]
        return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()

    def sha256(self) -> str:
        """What the parameters file carries: layout and the order of keys are not bound, every meaning is."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape that each tensor must have."""
        found = networks.shapes(self.inputs.features, self.model, self.head.outputs)
        shapes = {f"network.{name}": shape for name, shape in found.items()}
        return shapes | self.inputs.constant_shapes() | self.head.constant_shapes()

    def text(self) -> str:
        """The architecture as a person reads it."""
        return ADAPTER.dump_json(self, indent=2).decode() + "\n"


ADAPTER: TypeAdapter[Architecture] = TypeAdapter(Architecture)


def describe(task: str, inputs: Inputs, model: Model, head: AnyHead, *, drawn: bool = False) -> Architecture:
    """The architecture of a network for a task; drawn: its examples were made up by the program."""
    count = networks.learned(inputs.features, model, head.outputs)
    return Architecture(1, task, inputs, model, head, count, drawn=drawn)


@plain_dataclass(frozen=True)
class TrainedModel:
    """An architecture, the learned weights, and the constants learned from inputs and targets."""

    architecture: Architecture
    weights: State
    input_constants: Constants
    target_constants: Constants

    @torch.no_grad()
    def answers(self, raw: Raw) -> Tensor:
        """float [N, columns of the head]: what a person gets for each picture or row."""
        built = self.network()
        outputs = torch.cat([built(fed) for fed in self.fed(raw)])
        return self.architecture.head.answer(outputs, self.target_constants)

    def fed(self, raw: Raw) -> Iterator[Tensor]:
        """[n, ...]: what the network reads of some pictures or rows after the other."""
        if isinstance(raw, Features) and raw.deep is not None:
            deep = DeepRows(raw.deep, torch.device("cpu"))
            return (deep[part] for part in torch.split(torch.arange(len(raw)), AT_ONCE))
        inputs = self.architecture.inputs
        resident = inputs.resident(inputs.recode(raw), self.input_constants, torch.device("cpu"))
        rows = resident[: len(raw)]  # what follows are views of them, for training
        return (inputs.batch(part, self.input_constants) for part in torch.split(rows, 1024))

    def network(self) -> Network:
        """The network with its weights, ready to answer."""
        shape = self.architecture
        built = networks.build(shape.inputs.features, shape.model, shape.head.outputs)
        built.load_state_dict(self.weights)
        if isinstance(built, Tuned):
            built.backbone.scale(self.input_constants)
        return built.eval()

    def tensors(self) -> dict[str, Tensor]:
        """Everything that goes into the parameters file, by name."""
        weights = {
            f"network.{name}": value.float() for name, value in self.weights.items()
        }  # a backbone has counts too
        return weights | {name: value.cpu() for name, value in (self.input_constants | self.target_constants).items()}

    def write(self, folder: Path) -> Architecture:
        """Makes the folder with the two files, each bound to the other by its SHA-256: both or neither.

        A folder that is there is replaced. Returns the architecture with its hash.
        """
        packed = parameters.pack(self.tensors(), self.architecture.sha256())
        architecture = replace(self.architecture, parameters_sha256=hashlib.sha256(packed).hexdigest())
        text = architecture.text().encode()
        _architecture(text)  # what could not be read is not written
        write_folder(folder, {PARAMETERS: packed, ARCHITECTURE: text})
        return architecture


def read(folder: Path) -> TrainedModel:
    """The model in a folder's two files; each is opened once.

    Raises ModelError where a file is missing, is not what it should be, or does not belong to the other.
    """
    file = folder / ARCHITECTURE
    try:
        architecture = _architecture(untrusted.content(file, 0, MOST_WORDS))
        file = folder / PARAMETERS
        tensors = _tensors(file, architecture)
    except RefusedError as error:
        raise ModelError(f"{printable(str(file))}: {error}; {WAY_OUT}") from None
    return TrainedModel(
        architecture,
        {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")},
        {name: value for name, value in tensors.items() if name.startswith("input.")},
        {name: value for name, value in tensors.items() if name.startswith("target.")},
    )


def _architecture(text: bytes) -> Architecture:
    try:
        architecture = ADAPTER.validate_python(untrusted.parsed(text))
    except ValidationError as error:
        first = min(error.errors(include_url=False), key=lambda each: each["type"] != "unexpected_keyword_argument")
        place = ".".join(map(shown, first["loc"])) or "the file"
        rule, got = shown(first["msg"].removeprefix("Value error, "), 200), first["input"]
        found = f'"{shown(got)}"' if isinstance(got, str) else shown(got)
        raise RefusedError(f"{place}: {rule}; got {found}") from None
    inputs, shape = architecture.inputs, architecture.model
    if shape.convolutions is not None and not isinstance(inputs, PictureInputs):
        raise RefusedError(f"model.convolutions: are for pictures; got inputs of kind {inputs.kind}")
    if unfit := networks.unfit(inputs.features, shape):
        raise RefusedError(f"model.convolutions: {unfit}")
    if no_tail := _unfit_tail(inputs, shape.tail):
        raise RefusedError(f"model.tail: {no_tail}")
    numbers = networks.learned(inputs.features, shape, architecture.head.outputs)
    if architecture.parameters != numbers:
        raise RefusedError(f"parameters: its layers have {numbers:,}; it says {architecture.parameters:,}")
    return architecture


def _unfit_tail(inputs: AnyInputs, tail: Tail | None) -> str | None:
    """What is wrong with a part of a backbone for these inputs; None if nothing is."""
    if tail is None:
        return None
    if not isinstance(inputs, FeatureInputs) or inputs.backbone != tail.backbone:
        return f"a part of the backbone that the inputs name; got {tail.backbone}"
    from pipeline.models.backbones import split

    if not split.fits(tail.backbone, inputs.size, inputs.count):
        return f"{tail.backbone} does not make {inputs.count:,} numbers of a picture of {inputs.size} x {inputs.size}"
    return None


def _tensors(file: Path, architecture: Architecture) -> dict[str, Tensor]:
    """All sizes are known from the layers before anything of the file is read."""
    shapes = architecture.shapes()
    size = parameters.size(shapes)
    if size > MOST_NUMBERS:
        raise RefusedError(f"has {size:,} bytes of numbers by the layers beside it; at most {MOST_NUMBERS:,} are read")
    content = untrusted.content(file, size, size + parameters.most_header(shapes))
    if hashlib.sha256(content).hexdigest() != architecture.parameters_sha256:
        raise RefusedError(f"does not belong to {ARCHITECTURE} beside it, or was changed (its SHA-256 is another)")
    return parameters.unpack(content, shapes, architecture.sha256())
