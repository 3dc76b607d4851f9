"""Description of a trained model without its weights, as architecture.json holds it: checked field by field."""

import hashlib
import json
from dataclasses import MISSING, fields, replace
from typing import Annotated, Any, cast

from pydantic import FailFast, Field, Strict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from pipeline.config.final_models import MAX_NETWORKS
from pipeline.config.model import FinetuneSpec, Model
from pipeline.config.strict_types import STRICT_CONFIG, StrictInt
from pipeline.models import networks
from pipeline.models.backbones import split
from pipeline.models.heads import AnyHead
from pipeline.preprocessing import FeatureInputs, ImageInputs, Inputs, TableInputs
from pipeline.preprocessing.base import ShortText
from pipeline.runtime import untrusted
from pipeline.runtime.untrusted import UntrustedFileError, ascii_repr

FORMAT = 2  # the newest; a file has the first that holds all of its fields
MAX_TENSOR_BYTES = 2**31
MAX_PARAMETERS = MAX_TENSOR_BYTES // 4  # float32
AnyInputs = Annotated[ImageInputs | FeatureInputs | TableInputs, Field(discriminator="kind")]


@dataclass(frozen=True, config=STRICT_CONFIG)
class EnsembleMember:
    """Networks of one shape in an ensemble, one for each fold; weight: of their mean among the members' predictions."""

    model: Model
    networks: Annotated[StrictInt, Field(ge=1, le=MAX_NETWORKS)]
    weight: Annotated[StrictInt, Field(ge=1, le=MAX_NETWORKS)]


@dataclass(frozen=True, config=STRICT_CONFIG)
class Architecture:
    """Description of a model without its weights: a closed vocabulary, validated field by field.

    format: the first that can describe the model. parameters: number of trainable parameters.
    parameters_sha256: hash of the parameters file that belongs to it. drawn: trained on synthetic examples.
    ensemble: its members, if the model is one; `model` is then that of the first member.
    """

    format: Annotated[StrictInt, Field(ge=1, le=FORMAT)]
    task: ShortText
    inputs: AnyInputs
    model: Model
    head: AnyHead
    parameters: Annotated[StrictInt, Field(ge=1, le=MAX_TENSOR_BYTES)]
    parameters_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    drawn: Annotated[bool, Strict(), Field(exclude_if=lambda drawn: not drawn)] = False
    ensemble: Annotated[
        tuple[EnsembleMember, ...], Field(max_length=MAX_NETWORKS, exclude_if=lambda members: not members), FailFast()
    ] = ()

    @property
    def network_models(self) -> list[Model]:
        """Return the model of each network, in the order of the members of an ensemble."""
        return [each.model for each in self.ensemble for _ in range(each.networks)] or [self.model]

    @property
    def network_weights(self) -> list[float]:
        """Return the weight of each network's predictions; they add up to 1."""
        total = sum(each.weight for each in self.ensemble)
        return [each.weight / total / each.networks for each in self.ensemble for _ in range(each.networks)] or [1.0]

    def canonical_json(self) -> bytes:
        """Serialize with sorted keys, no spaces and no hash of the parameters: equal architectures give equal bytes."""
        described = json.loads(ARCHITECTURE_ADAPTER.dump_json(self))
        del described["parameters_sha256"]
        return json.dumps(described, sort_keys=True, separators=(",", ":")).encode()

    def sha256(self) -> str:
        """Return the hash that the parameters file carries; it does not depend on layout and order of keys."""
        return hashlib.sha256(self.canonical_json()).hexdigest()

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor of the parameters file by name."""
        all_shapes = self.head.constant_shapes()
        for index, model in enumerate(self.network_models):
            named = networks.network_tensor_shapes(self.inputs.feature_count, model, self.head.output_count)
            shapes = {f"network.{name}": shape for name, shape in named.items()} | self.inputs.constant_shapes()
            shapes |= self.head.constant_shapes()
            all_shapes |= {f"{self.tensor_prefix(index)}{name}": shape for name, shape in shapes.items()}
        return all_shapes

    def tensor_prefix(self, index: int) -> str:
        """Return the beginning of the names of a network's tensors: "" for a network alone."""
        return f"networks.{index}." if self.ensemble else ""

    def to_json(self) -> str:
        """Serialize as indented JSON."""
        return ARCHITECTURE_ADAPTER.dump_json(self, indent=2).decode() + "\n"


ARCHITECTURE_ADAPTER: TypeAdapter[Architecture] = TypeAdapter(Architecture)


def build_architecture(
    task: str,
    inputs: Inputs,
    model: Model,
    head: AnyHead,
    *,
    synthetic: bool = False,
    ensemble: tuple[EnsembleMember, ...] = (),
) -> Architecture:
    """Return the architecture of a network, or of an ensemble, for a task.

    synthetic: its examples were generated by the program.
    """
    file_format = _find_format(inputs, model, head, ensemble)
    architecture = Architecture(file_format, task, inputs, model, head, 1, drawn=synthetic, ensemble=ensemble)
    return replace(architecture, parameters=count_parameters(architecture))


def _find_format(inputs: Inputs, model: Model, head: AnyHead, ensemble: tuple[EnsembleMember, ...]) -> int:
    """Return the first format that can describe a model, so that earlier versions read whatever they can."""
    has_new_inputs = isinstance(inputs, TableInputs) and (inputs.encoding != "standard" or bool(inputs.dates))
    has_new_layers = model.norm != "none" or model.residual
    # The fields of a head that have a default are those that came with format 2.
    later_fields = [each for each in fields(cast("Any", head)) if each.default is not MISSING]
    has_new_head = any(getattr(head, each.name) != each.default for each in later_fields)
    return 2 if ensemble or has_new_inputs or has_new_layers or has_new_head else 1


def count_parameters(architecture: Architecture) -> int:
    """Count the trainable parameters of all networks."""
    features = architecture.inputs.feature_count
    outputs = architecture.head.output_count
    return sum(networks.count_parameters(features, model, outputs) for model in architecture.network_models)


def parse_architecture(text: bytes) -> Architecture:
    """Return the architecture of a file's bytes; raises UntrustedFileError with the first rule that it breaks."""
    parsed = untrusted.parse_json_strict(text)
    found_format = parsed.get("format") if isinstance(parsed, dict) else None
    if type(found_format) is int and found_format > FORMAT:  # first, since its other fields may be unknown too
        rule = f"this version reads formats up to {FORMAT}"
        raise UntrustedFileError(f"format: {rule}; got {ascii_repr(found_format)}; install a newer version to read it")
    try:
        architecture = ARCHITECTURE_ADAPTER.validate_python(parsed)
    except ValidationError as error:
        # an unknown key is reported first: the other errors may follow from its misspelling
        first = min(error.errors(include_url=False), key=lambda each: each["type"] != "unexpected_keyword_argument")
        location = ".".join(map(ascii_repr, first["loc"])) or "the file"
        rule = ascii_repr(first["msg"].removeprefix("Value error, "), 200)
        got = ascii_repr(first["input"])
        quote = '"' if isinstance(first["input"], str) else ""
        raise UntrustedFileError(f"{location}: {rule}; got {quote}{got}{quote}") from None
    _check_consistency(architecture)
    return architecture


def _check_consistency(architecture: Architecture) -> None:
    """Raise UntrustedFileError if format, inputs, models and number of parameters contradict each other."""
    ensemble = architecture.ensemble
    network_count = sum(each.networks for each in ensemble)
    if network_count > MAX_NETWORKS:
        raise UntrustedFileError(f"ensemble: must have at most {MAX_NETWORKS:,} networks; got {network_count:,}")
    if ensemble and ensemble[0].model != architecture.model:
        raise UntrustedFileError("ensemble: its first member must have the model of the file")
    required_format = _find_format(architecture.inputs, architecture.model, architecture.head, ensemble)
    if architecture.format < required_format:
        raise UntrustedFileError(f"format: must be {required_format} for this model; got {architecture.format}")
    for model in [each.model for each in ensemble] or [architecture.model]:
        _check_model(architecture.inputs, model)
    parameter_count = count_parameters(architecture)
    if architecture.parameters != parameter_count:
        raise UntrustedFileError(f"parameters: the layers have {parameter_count:,}; got {architecture.parameters:,}")


def _check_model(inputs: AnyInputs, model: Model) -> None:
    """Raise UntrustedFileError if a model cannot read these inputs."""
    if model.convolutions is not None and not isinstance(inputs, ImageInputs):
        raise UntrustedFileError(f"model.convolutions: need image inputs; got inputs of kind {inputs.kind}")
    if size_error := networks.find_size_error(inputs.feature_count, model):
        raise UntrustedFileError(f"model.convolutions: {size_error}")
    if model.tail is not None:
        _check_finetuned_part(inputs, model.tail)


def _check_finetuned_part(inputs: AnyInputs, spec: FinetuneSpec) -> None:
    """Raise UntrustedFileError if the inputs are not those of the backbone that is finetuned."""
    if not isinstance(inputs, FeatureInputs) or inputs.backbone != spec.backbone:
        raise UntrustedFileError(f"model.tail: must be a part of the inputs' backbone; got {spec.backbone}")
    if not split.has_feature_count(spec.backbone, inputs.size, inputs.count):
        got = f"{inputs.count:,} features of {inputs.size} x {inputs.size} images"
        raise UntrustedFileError(f"model.tail: {inputs.backbone} does not compute {got}")
