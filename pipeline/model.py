"""A trained model as two files: architecture.json and parameters.safetensors; loading them runs no code of theirs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pipeline.config.datasets import STRICT
from pipeline.config.schema import Model, Whole
from pipeline.data.examples import Pictures, Table
from pipeline.engine import State
from pipeline.heads import AnyHead
from pipeline.inputs import Constants, PictureInputs, TableInputs, Text
from pipeline.network import Dense, parameter_count

ARCHITECTURE, PARAMETERS = "architecture.json", "parameters.safetensors"
BOUND_TO = "architecture_sha256"
MAX_BYTES = 2**31
AnyInputs = Annotated[PictureInputs | TableInputs, Field(discriminator="kind")]


class ModelError(Exception):
    """Files that are no model of ours: which file, what is wrong, and the way out, in one line."""


@dataclass(frozen=True, config=STRICT)
class Architecture:
    """What a model is, apart from its numbers; a closed vocabulary.

    parameters: how many numbers were learned. parameters_sha256: of the whole parameters file that belongs to it.
    """

    format: Literal[1]
    task: Text
    inputs: AnyInputs
    model: Model
    head: AnyHead
    parameters: Annotated[Whole, Field(ge=1)]
    parameters_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None

    def canonical(self) -> bytes:
        """The same bytes for the same architecture: sorted keys, no spaces, without the hash of the parameters."""
        plain = json.loads(ADAPTER.dump_json(self))
        del plain["parameters_sha256"]
        return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()

    def text(self) -> str:
        """The architecture as a person reads it."""
        return ADAPTER.dump_json(self, indent=2).decode() + "\n"


ADAPTER: TypeAdapter[Architecture] = TypeAdapter(Architecture)


def describe(task: str, inputs: PictureInputs | TableInputs, model: Model, head: AnyHead) -> Architecture:
    """The architecture of a network for a task."""
    count = parameter_count(inputs.features, model.hidden, head.outputs)
    return Architecture(1, task, inputs, model, head, count)


@plain_dataclass(frozen=True)
class TrainedModel:
    """An architecture, the learned weights, and the constants learned from inputs and targets."""

    architecture: Architecture
    weights: State
    input_constants: Constants
    target_constants: Constants

    @torch.no_grad()
    def answers(self, raw: Pictures | Table) -> Tensor:
        """float [N, columns of the head]: what a person gets for each picture or row."""
        shape = self.architecture
        rows = shape.inputs.resident(shape.inputs.recode(raw), self.input_constants, torch.device("cpu"))
        network = self._network()
        outputs = [network(shape.inputs.batch(part, self.input_constants)) for part in torch.split(rows, 1024)]
        return shape.head.answer(torch.cat(outputs), self.target_constants)

    def _network(self) -> Dense:
        network = Dense(self.architecture.inputs.features, self.architecture.model, self.architecture.head.outputs)
        network.load_state_dict(self.weights)
        return network.eval()

    def tensors(self) -> dict[str, Tensor]:
        """Everything that goes into the parameters file, by name."""
        weights = {f"network.{name}": value for name, value in self.weights.items()}
        return weights | {name: value.cpu() for name, value in (self.input_constants | self.target_constants).items()}

    def write(self, folder: Path) -> Architecture:
        """Writes the two files, each bound to the other by its SHA-256; returns the architecture with its hash."""
        folder.mkdir(parents=True, exist_ok=True)
        bound = {BOUND_TO: hashlib.sha256(self.architecture.canonical()).hexdigest()}
        parameters = save({name: value.contiguous() for name, value in self.tensors().items()}, metadata=bound)
        architecture = replace(self.architecture, parameters_sha256=hashlib.sha256(parameters).hexdigest())
        _write(folder / PARAMETERS, parameters)
        _write(folder / ARCHITECTURE, architecture.text().encode())
        return architecture


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all: written beside its place, flushed to disk, then moved there."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)


def read(folder: Path) -> TrainedModel:
    """The model in a folder's two files.

    Raises ModelError where a file is missing, is not what it should be, or does not belong to the other.
    """
    architecture = _architecture(_bytes(folder / ARCHITECTURE), folder / ARCHITECTURE)
    content, file = _bytes(folder / PARAMETERS), folder / PARAMETERS
    if hashlib.sha256(content).hexdigest() != architecture.parameters_sha256:
        raise ModelError(
            f"{file}: does not belong to {ARCHITECTURE} beside it, or was changed (its SHA-256 is another)"
        )
    try:
        tensors = load(content)
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{file}: no safetensors file ({error})") from None
    _check(tensors, architecture, file)
    if _metadata(content).get(BOUND_TO) != hashlib.sha256(architecture.canonical()).hexdigest():
        raise ModelError(f"{file}: was trained with another architecture than {ARCHITECTURE} beside it")
    return TrainedModel(
        architecture,
        {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")},
        {name: value for name, value in tensors.items() if name.startswith("input.")},
        {name: value for name, value in tensors.items() if name.startswith("target.")},
    )


def _metadata(content: bytes) -> dict[str, str]:
    """The words in the header of a safetensors file that was read already: 8 bytes of length, then JSON."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    found: dict[str, str] = header.get("__metadata__", {})
    return found


def _bytes(file: Path) -> bytes:
    if not file.is_file():
        raise ModelError(f"{file}: no such file; a model is {ARCHITECTURE} and {PARAMETERS} in one folder")
    if file.stat().st_size > MAX_BYTES:
        raise ModelError(f"{file}: larger than {MAX_BYTES:,} bytes; no model of ours is")
    return file.read_bytes()


def _architecture(content: bytes, file: Path) -> Architecture:
    try:
        architecture = ADAPTER.validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(f"{file}: {place}: {first['msg']}") from None
    expected = parameter_count(architecture.inputs.features, architecture.model.hidden, architecture.head.outputs)
    if architecture.parameters != expected:
        raise ModelError(f"{file}: parameters: its layers have {expected:,}; it says {architecture.parameters:,}")
    return architecture


def _shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """The shape that each tensor must have."""
    widths = [architecture.inputs.features, *architecture.model.hidden, architecture.head.outputs]
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (inputs, nodes) in enumerate(pairwise(widths)):
        shapes |= {f"network.layers.{layer}.weight": (nodes, inputs), f"network.layers.{layer}.bias": (nodes,)}
    return shapes | architecture.inputs.constant_shapes() | architecture.head.constant_shapes()


def _check(tensors: Mapping[str, Tensor], architecture: Architecture, file: Path) -> None:
    expected = _shapes(architecture)
    if set(tensors) != set(expected):
        odd = ", ".join(sorted(set(tensors) ^ set(expected))[:3])
        raise ModelError(f"{file}: its tensors are not those of {ARCHITECTURE} beside it: {odd}")
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or tuple(tensor.shape) != expected[name]:
            found = f"{tensor.dtype} {list(tensor.shape)}"
            raise ModelError(f"{file}: {name}: must be float32 {list(expected[name])}; got {found}")
        if not bool(tensor.isfinite().all()):
            raise ModelError(f"{file}: {name}: holds a number that is not finite")
