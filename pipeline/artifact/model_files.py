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
from pipeline.config.model import FinetuneSpec, Model
from pipeline.config.strict_types import STRICT_CONFIG, StrictInt
from pipeline.data.examples import BackboneFeatures, RawInputs
from pipeline.models import networks
from pipeline.models.heads import AnyHead
from pipeline.models.networks import FinetunedNetwork, Network
from pipeline.preprocessing import Constants, FeatureInputs, ImageInputs, Inputs, ShortText, TableInputs
from pipeline.preprocessing.backbone_activations import IndexedActivations
from pipeline.runtime import untrusted
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import write_folder
from pipeline.runtime.text import escape_unprintable
from pipeline.runtime.untrusted import UntrustedFileError, ascii_repr
from pipeline.training.engine import StateDict

ARCHITECTURE_FILE, PARAMETERS_FILE = "architecture.json", "parameters.safetensors"
MAX_ARCHITECTURE_BYTES, MAX_TENSOR_BYTES = 2**22, 2**31  # bytes of architecture.json, bytes of numbers beside it
MAX_PARAMETERS = MAX_TENSOR_BYTES // 4  # of four bytes each
BACKBONE_BATCH_SIZE = 32  # pictures, where a part of a backbone looks at them
MODEL_FILES_HINT = f"a model is {ARCHITECTURE_FILE} and {PARAMETERS_FILE} in one folder, as one search wrote them"
AnyInputs = Annotated[ImageInputs | FeatureInputs | TableInputs, Field(discriminator="kind")]


class ModelError(UserError):
    """Files that are no model of ours: which file, what is wrong, and the way out, in one line."""


@dataclass(frozen=True, config=STRICT_CONFIG)
class Architecture:
    """What a model is, apart from its numbers; a closed vocabulary.

    parameters: how many numbers were learned. parameters_sha256: of the whole parameters file that belongs to it.
    drawn: it learned from what the program made up.
    """

    format: Annotated[StrictInt, Field(ge=1, le=1)]
    task: ShortText
    inputs: AnyInputs
    model: Model
    head: AnyHead
    parameters: Annotated[StrictInt, Field(ge=1, le=MAX_TENSOR_BYTES)]
    parameters_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    drawn: Annotated[bool, Strict(), Field(exclude_if=lambda drawn: not drawn)] = False

    def canonical_json(self) -> bytes:
        """The same bytes for the same architecture: sorted keys, no spaces, without the hash of the parameters."""
        fields = json.loads(ARCHITECTURE_ADAPTER.dump_json(self))
        del fields["parameters_sha256"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    def sha256(self) -> str:
        """What the parameters file carries: layout and the order of keys are not bound, every meaning is."""
        return hashlib.sha256(self.canonical_json()).hexdigest()

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape that each tensor must have."""
        network_shapes = networks.network_tensor_shapes(self.inputs.feature_count, self.model, self.head.output_count)
        shapes = {f"network.{name}": shape for name, shape in network_shapes.items()}
        return shapes | self.inputs.constant_shapes() | self.head.constant_shapes()

    def to_json(self) -> str:
        """The architecture as a person reads it."""
        return ARCHITECTURE_ADAPTER.dump_json(self, indent=2).decode() + "\n"


ARCHITECTURE_ADAPTER: TypeAdapter[Architecture] = TypeAdapter(Architecture)


def build_architecture(
    task: str, inputs: Inputs, model: Model, head: AnyHead, *, synthetic: bool = False
) -> Architecture:
    """The architecture of a network for a task; drawn: its examples were made up by the program."""
    parameter_count = networks.count_parameters(inputs.feature_count, model, head.output_count)
    return Architecture(1, task, inputs, model, head, parameter_count, drawn=synthetic)


@plain_dataclass(frozen=True)
class TrainedModel:
    """An architecture, the learned weights, and the constants learned from inputs and targets."""

    architecture: Architecture
    weights: StateDict
    input_constants: Constants
    target_constants: Constants

    @torch.no_grad()
    def predict(self, raw: RawInputs) -> Tensor:
        """float [N, columns of the head]: what a person gets for each picture or row."""
        network = self.build_network()
        outputs = torch.cat([network(batch) for batch in self.batches(raw)])
        return self.architecture.head.to_predictions(outputs, self.target_constants)

    def batches(self, raw: RawInputs) -> Iterator[Tensor]:
        """[n, ...]: what the network reads of some pictures or rows after the other."""
        if isinstance(raw, BackboneFeatures) and raw.activations is not None:
            activations = IndexedActivations(raw.activations, torch.device("cpu"))
            return (activations[part] for part in torch.split(torch.arange(len(raw)), BACKBONE_BATCH_SIZE))
        inputs = self.architecture.inputs
        device_inputs = inputs.to_device(inputs.map_categories(raw), self.input_constants, torch.device("cpu"))
        rows = device_inputs[: len(raw)]  # what follows are views of them, for training
        return (inputs.prepare_batch(part, self.input_constants) for part in torch.split(rows, 1024))

    def build_network(self) -> Network:
        """The network with its weights, ready to answer."""
        architecture = self.architecture
        network = networks.build_network(
            architecture.inputs.feature_count, architecture.model, architecture.head.output_count
        )
        network.load_state_dict(self.weights)
        if isinstance(network, FinetunedNetwork):
            network.backbone.set_scaling(self.input_constants)
        return network.eval()

    def named_tensors(self) -> dict[str, Tensor]:
        """Everything that goes into the parameters file, by name."""
        weights = {
            f"network.{name}": value.float() for name, value in self.weights.items()
        }  # a backbone has counts too
        return weights | {name: value.cpu() for name, value in (self.input_constants | self.target_constants).items()}

    def save(self, folder: Path) -> Architecture:
        """Makes the folder with the two files, each bound to the other by its SHA-256: both or neither.

        A folder that is there is replaced. Returns the architecture with its hash.
        """
        parameters_bytes = parameters.pack(self.named_tensors(), self.architecture.sha256())
        architecture = replace(self.architecture, parameters_sha256=hashlib.sha256(parameters_bytes).hexdigest())
        architecture_bytes = architecture.to_json().encode()
        _parse_architecture(architecture_bytes)  # what could not be read is not written
        write_folder(folder, {PARAMETERS_FILE: parameters_bytes, ARCHITECTURE_FILE: architecture_bytes})
        return architecture


def load_trained_model(folder: Path) -> TrainedModel:
    """The model in a folder's two files; each is opened once.

    Raises ModelError where a file is missing, is not what it should be, or does not belong to the other.
    """
    file = folder / ARCHITECTURE_FILE
    try:
        architecture = _parse_architecture(untrusted.read_bounded(file, 0, MAX_ARCHITECTURE_BYTES))
        file = folder / PARAMETERS_FILE
        tensors = _load_tensors(file, architecture)
    except UntrustedFileError as error:
        raise ModelError(f"{escape_unprintable(str(file))}: {error}; {MODEL_FILES_HINT}") from None
    return TrainedModel(
        architecture,
        {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")},
        {name: value for name, value in tensors.items() if name.startswith("input.")},
        {name: value for name, value in tensors.items() if name.startswith("target.")},
    )


def _parse_architecture(text: bytes) -> Architecture:
    try:
        architecture = ARCHITECTURE_ADAPTER.validate_python(untrusted.parse_json_strict(text))
    except ValidationError as error:
        first_error = min(
            error.errors(include_url=False), key=lambda each: each["type"] != "unexpected_keyword_argument"
        )
        location = ".".join(map(ascii_repr, first_error["loc"])) or "the file"
        rule, value = ascii_repr(first_error["msg"].removeprefix("Value error, "), 200), first_error["input"]
        value_text = f'"{ascii_repr(value)}"' if isinstance(value, str) else ascii_repr(value)
        raise UntrustedFileError(f"{location}: {rule}; got {value_text}") from None
    inputs, model = architecture.inputs, architecture.model
    if model.convolutions is not None and not isinstance(inputs, ImageInputs):
        raise UntrustedFileError(f"model.convolutions: are for pictures; got inputs of kind {inputs.kind}")
    if size_error := networks.find_size_error(inputs.feature_count, model):
        raise UntrustedFileError(f"model.convolutions: {size_error}")
    if backbone_error := _find_backbone_error(inputs, model.tail):
        raise UntrustedFileError(f"model.tail: {backbone_error}")
    parameter_count = networks.count_parameters(inputs.feature_count, model, architecture.head.output_count)
    if architecture.parameters != parameter_count:
        raise UntrustedFileError(
            f"parameters: its layers have {parameter_count:,}; it says {architecture.parameters:,}"
        )
    return architecture


def _find_backbone_error(inputs: AnyInputs, finetune_spec: FinetuneSpec | None) -> str | None:
    """What is wrong with a part of a backbone for these inputs; None if nothing is."""
    if finetune_spec is None:
        return None
    if not isinstance(inputs, FeatureInputs) or inputs.backbone != finetune_spec.backbone:
        return f"a part of the backbone that the inputs name; got {finetune_spec.backbone}"
    from pipeline.models.backbones import split

    if not split.has_feature_count(finetune_spec.backbone, inputs.size, inputs.count):
        return f"{finetune_spec.backbone} does not make {inputs.count:,} numbers of a picture of {inputs.size} x {inputs.size}"
    return None


def _load_tensors(file: Path, architecture: Architecture) -> dict[str, Tensor]:
    """All sizes are known from the layers before anything of the file is read."""
    shapes = architecture.tensor_shapes()
    byte_count = parameters.count_tensor_bytes(shapes)
    if byte_count > MAX_TENSOR_BYTES:
        raise UntrustedFileError(
            f"has {byte_count:,} bytes of numbers by the layers beside it; at most {MAX_TENSOR_BYTES:,} are read"
        )
    content = untrusted.read_bounded(file, byte_count, byte_count + parameters.max_header_bytes(shapes))
    if hashlib.sha256(content).hexdigest() != architecture.parameters_sha256:
        raise UntrustedFileError(
            f"does not belong to {ARCHITECTURE_FILE} beside it, or was changed (its SHA-256 is another)"
        )
    return parameters.unpack(content, shapes, architecture.sha256())
