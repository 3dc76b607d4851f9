"""A trained model as two files, architecture.json and parameters.safetensors; loading them runs no code from them."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from pipeline.artifact import tensors
from pipeline.artifact.architecture import MAX_TENSOR_BYTES, Architecture, parse_architecture
from pipeline.config.model import Model
from pipeline.data.examples import BackboneFeatures, Images, RawInputs
from pipeline.models import networks
from pipeline.models.backbones import PretrainedBackbone
from pipeline.models.networks import FinetunedNetwork, Network, StateDict
from pipeline.preprocessing import Constants, FeatureInputs
from pipeline.preprocessing.backbone_activations import IndexedActivations
from pipeline.runtime import untrusted
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import write_folder
from pipeline.runtime.text import escape_unprintable
from pipeline.runtime.untrusted import UntrustedFileError

ARCHITECTURE_FILE = "architecture.json"
PARAMETERS_FILE = "parameters.safetensors"
MAX_ARCHITECTURE_BYTES = 2**22
PREDICT_BATCH_SIZE = 1024  # rows
BACKBONE_BATCH_SIZE = 32  # images, for a finetuned backbone
MODEL_FILES_HINT = f"a model is {ARCHITECTURE_FILE} and {PARAMETERS_FILE} in one folder, written by one search"


class ModelError(UserError):
    """Invalid model files: the file, what is wrong with it and what a model is, in one line."""


@dataclasses.dataclass(frozen=True)
class TrainedNetwork:
    """A trained network: its model, weights, and the constants fitted to inputs and targets of its training rows."""

    model: Model
    weights: StateDict
    input_constants: Constants
    target_constants: Constants


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A trained network, or an ensemble of networks whose predictions are averaged.

    target_constants: fitted to the targets of all training rows; for a network alone they are its own.
    """

    architecture: Architecture
    networks: tuple[TrainedNetwork, ...]
    target_constants: Constants

    @classmethod
    def from_network(
        cls, architecture: Architecture, weights: StateDict, input_constants: Constants, target_constants: Constants
    ) -> Self:
        """Return the model that is one network."""
        network = TrainedNetwork(architecture.model, weights, input_constants, target_constants)
        return cls(architecture, (network,), target_constants)

    @torch.no_grad()
    def predict(self, raw: RawInputs) -> Tensor:
        """Predict raw examples: float [N, columns of the head], see `Head.to_predictions`."""
        predictions = [self._predict_network(network, raw) for network in self.networks]
        return average_predictions(predictions, self.architecture.network_weights)

    def _predict_network(self, trained: TrainedNetwork, raw: RawInputs) -> Tensor:
        network = self.build_network(trained)
        outputs = torch.cat([network(batch) for batch in self.batches(trained, raw)])
        return self.architecture.head.to_predictions(outputs, trained.target_constants)

    def build_feature_extractor(self, weights_file: Path | None, cache: Path) -> Callable[[Images], RawInputs]:
        """Return the function from images to raw inputs: those of the backbone, or the images if there is none.

        weights_file: weights of the backbone, if not the published ones, which are looked for in `cache`.
        Raises UserError if they are missing, or are not those of the search.
        """
        inputs = self.architecture.inputs
        if not isinstance(inputs, FeatureInputs):
            return lambda images: images
        finetune = self.architecture.model.tail
        backbone = PretrainedBackbone.from_trained_model(inputs, finetune, weights_file, cache)
        _ = backbone.network  # built now, so that an error comes before the first prediction
        return lambda images: backbone.extract(images, inputs.views)

    def batches(self, trained: TrainedNetwork, raw: RawInputs) -> Iterator[Tensor]:
        """Yield the inputs [n, ...] of one of the networks for raw examples, batch by batch."""
        if isinstance(raw, BackboneFeatures) and raw.activations is not None:
            activations = IndexedActivations(raw.activations, torch.device("cpu"))
            return (activations[rows] for rows in torch.split(torch.arange(len(raw)), BACKBONE_BATCH_SIZE))
        inputs = self.architecture.inputs
        constants = trained.input_constants
        device_inputs = inputs.to_device(inputs.map_categories(raw), constants, torch.device("cpu"))
        rows = device_inputs[: len(raw)]  # single views follow, for training only
        return (inputs.prepare_batch(batch, constants) for batch in torch.split(rows, PREDICT_BATCH_SIZE))

    def build_network(self, trained: TrainedNetwork) -> Network:
        """Return one of the networks with its weights, in evaluation mode."""
        inputs = self.architecture.inputs
        head = self.architecture.head
        network = networks.build_network(inputs.feature_count, trained.model, head.output_count)
        network.load_state_dict(trained.weights)
        if isinstance(network, FinetunedNetwork):
            network.backbone.set_scaling(trained.input_constants)
        return network.eval()

    def named_tensors(self) -> dict[str, Tensor]:
        """Return every tensor of the parameters file by name."""
        named = dict(self.target_constants)
        for index, trained in enumerate(self.networks):
            # float(): a backbone's batch norm has integer counts.
            tensors = {f"network.{name}": value.float() for name, value in trained.weights.items()}
            tensors |= trained.input_constants | trained.target_constants
            named |= {f"{self.architecture.tensor_prefix(index)}{name}": value for name, value in tensors.items()}
        return {name: value.cpu() for name, value in named.items()}

    def save(self, folder: Path) -> Architecture:
        """Write both files, bound to each other by SHA-256, atomically; an existing folder is replaced.

        Returns the architecture with the hash of the parameters file.
        """
        parameters_bytes = tensors.pack(self.named_tensors(), self.architecture.sha256())
        digest = hashlib.sha256(parameters_bytes).hexdigest()
        architecture = dataclasses.replace(self.architecture, parameters_sha256=digest)
        architecture_bytes = architecture.to_json().encode()
        parse_architecture(architecture_bytes)  # refuse to write what `load_trained_model` would refuse
        write_folder(folder, {PARAMETERS_FILE: parameters_bytes, ARCHITECTURE_FILE: architecture_bytes})
        return architecture


def average_predictions(predictions: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return the weighted mean of the predictions, [N, columns] each, of several networks."""
    if len(predictions) == 1:
        return predictions[0]
    return torch.stack([weight * each for weight, each in zip(weights, predictions, strict=True)]).sum(0)


def load_trained_model(folder: Path) -> TrainedModel:
    """Load the model in a folder; each file is opened once.

    Raises ModelError if a file is missing or invalid, or does not belong to the other.
    """
    file = folder / ARCHITECTURE_FILE
    try:
        architecture = parse_architecture(untrusted.read_bounded(file, 0, MAX_ARCHITECTURE_BYTES))
        file = folder / PARAMETERS_FILE
        named = _load_tensors(file, architecture)
    except UntrustedFileError as error:
        raise ModelError(f"{escape_unprintable(str(file))}: {error}; {MODEL_FILES_HINT}") from None
    prefixes = [architecture.tensor_prefix(index) for index, _ in enumerate(architecture.network_models)]
    networks = tuple(map(partial(_build_trained_network, named), architecture.network_models, prefixes))
    return TrainedModel(architecture, networks, _select(named, "target."))


def _build_trained_network(named: Mapping[str, Tensor], model: Model, prefix: str) -> TrainedNetwork:
    """Return the network whose tensors have names with this prefix."""
    own = {name.removeprefix(prefix): value for name, value in _select(named, prefix).items()}
    weights = {name.removeprefix("network."): value for name, value in _select(own, "network.").items()}
    return TrainedNetwork(model, weights, _select(own, "input."), _select(own, "target."))


def _select(named: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: value for name, value in named.items() if name.startswith(prefix)}


def _load_tensors(file: Path, architecture: Architecture) -> dict[str, Tensor]:
    """Load the tensors; the architecture gives their sizes before anything of the file is read."""
    shapes = architecture.tensor_shapes()
    byte_count = tensors.count_tensor_bytes(shapes)
    if byte_count > MAX_TENSOR_BYTES:
        rule = f"must have at most {MAX_TENSOR_BYTES:,} bytes of tensors"
        raise UntrustedFileError(f"{rule}; the architecture beside it needs {byte_count:,}")
    content = untrusted.read_bounded(file, byte_count, byte_count + tensors.max_header_bytes(shapes))
    if hashlib.sha256(content).hexdigest() != architecture.parameters_sha256:
        raise UntrustedFileError(f"does not belong to {ARCHITECTURE_FILE} beside it, or was changed (SHA-256 differs)")
    return tensors.unpack(content, shapes, architecture.sha256())
