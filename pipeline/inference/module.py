"""Trained model with its preprocessing as one torch module: from pixels or table columns to predictions."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.artifact.model_files import TrainedModel, TrainedNetwork, average_predictions
from pipeline.data.date_columns import DATE_PARTS_NOTE
from pipeline.data.examples import Images, RawInputs, Table
from pipeline.models.backbones import PretrainedBackbone, split
from pipeline.models.backbones.views import apply_view
from pipeline.models.networks import ConvolutionalNetwork, DenseNetwork, FinetunedNetwork, Network
from pipeline.preprocessing import FeatureInputs, ImageInputs, TableInputs


@dataclass(frozen=True)
class InputSpec:
    """Input of a module: its name, its shape for one row, and a description."""

    name: str
    shape: tuple[int, ...]
    description: str


class EndToEndModule(nn.Module, ABC):
    """Preprocessing, backbone, networks and head in full precision; returns float32 [N, outputs of the head].

    inputs: arguments of `forward`, each with the rows as first dimension.
    """

    inputs: tuple[InputSpec, ...]

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        self.model = model
        self.networks = nn.ModuleList(model.build_network(each).requires_grad_(False) for each in model.networks)

    def average(self, compute_features: Callable[[TrainedNetwork, Network], Tensor]) -> Tensor:
        """Return the mean prediction of the networks.

        compute_features: returns the inputs of a network's fully connected layers, float [N, features].
        """
        head = self.model.architecture.head
        predictions = []
        for trained, module in zip(self.model.networks, self.networks, strict=True):
            network = cast(Network, module)
            dense = network if isinstance(network, DenseNetwork) else network.dense
            outputs = dense(compute_features(trained, network))
            predictions.append(head.to_predictions(outputs, trained.target_constants))
        return average_predictions(predictions, self.model.architecture.network_weights)

    @abstractmethod
    def random_inputs(self, count: int) -> tuple[RawInputs, tuple[Tensor, ...]]:
        """Return random rows as arguments of `TrainedModel.predict` (after the backbone) and of `forward`."""


class PixelModule(EndToEndModule):
    """Module that takes images: uint8 [N, 3, S, S]."""

    def __init__(self, model: TrainedModel, preprocessor: ImageInputs | FeatureInputs) -> None:
        super().__init__(model)
        size = preprocessor.size
        resized = f"rotated upright, resized to {size} x {size} without cropping (bilinear, antialiased)"
        self.inputs = (InputSpec("pixels", (3, size, size), f"uint8, RGB, 0 to 255: the whole image, {resized}"),)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the predictions, float [N, outputs of the head]."""

        def compute_features(trained: TrainedNetwork, network: Network) -> Tensor:
            constants = trained.input_constants
            mean, spread = (constants[name].view(1, 3, 1, 1) for name in ("input.mean", "input.spread"))
            scaled = (pixels - mean) / spread
            if isinstance(network, ConvolutionalNetwork):
                # all images at once: the network's split into batches needs their number, which a graph does not have
                channel_means: Tensor = network.blocks(scaled, network.activation)
                return channel_means
            return scaled.flatten(1)

        return self.average(compute_features)

    def random_inputs(self, count: int) -> tuple[RawInputs, tuple[Tensor, ...]]:
        pixels = np.random.default_rng(count).integers(0, 256, (count, *self.inputs[0].shape), dtype=np.uint8)
        return Images(pixels), (torch.from_numpy(pixels),)


class ViewsModule(PixelModule):
    """Module that takes images and contains the backbone, finetuned or frozen."""

    def __init__(self, model: TrainedModel, preprocessor: FeatureInputs, backbone: PretrainedBackbone) -> None:
        super().__init__(model, preprocessor)
        self.preprocessor = preprocessor
        self.extract_features = backbone.extract
        self.body: nn.Module = backbone.network
        finetune = model.architecture.model.tail
        if finetune is not None:
            self.body = split.build_stem(backbone.network, finetune)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the predictions from the mean of the features over the views."""
        # one batch of all views, so that the graph contains the body once
        views = torch.cat([apply_view(pixels, number) for number in range(self.preprocessor.views)])
        body_outputs = self.body(views)

        def compute_features(trained: TrainedNetwork, network: Network) -> Tensor:
            features = network.backbone.tail(body_outputs) if isinstance(network, FinetunedNetwork) else body_outputs
            mean = features.unflatten(0, (self.preprocessor.views, -1)).mean(0)
            return self.preprocessor.prepare_batch(mean, trained.input_constants)

        return self.average(compute_features)

    def random_inputs(self, count: int) -> tuple[RawInputs, tuple[Tensor, ...]]:
        images, tensors = super().random_inputs(count)
        assert isinstance(images, Images)
        return self.extract_features(images, self.preprocessor.views), tensors


class TableModule(EndToEndModule):
    """Module that takes table columns: numbers float32 [N, D] and category codes int64 [N, C], if there are any."""

    def __init__(self, model: TrainedModel, preprocessor: TableInputs) -> None:
        super().__init__(model)
        self.preprocessor = preprocessor
        dates = f"; of a date its {DATE_PARTS_NOTE}" if preprocessor.dates else ""
        numbers = f"float32: the numbers as in the table{dates}, NaN where one is missing"
        codes = "int64: the index of each category among its levels, from 0; -1 if it is missing or not among them"
        specs = (
            InputSpec("numbers", (len(preprocessor.numbers),), numbers),
            InputSpec("codes", (len(preprocessor.categories),), codes),
        )
        self.inputs = tuple(spec for spec in specs if spec.shape != (0,))

    def forward(self, *columns: Tensor) -> Tensor:
        """Return the predictions, float [N, outputs of the head]."""
        tensors = dict(zip((spec.name for spec in self.inputs), columns, strict=True))
        batch_size = columns[0].shape[0]  # torch.export would fix the result of `len`
        numbers = tensors.get("numbers", torch.zeros(batch_size, 0))
        codes = tensors.get("codes", torch.zeros(batch_size, 0, dtype=torch.int64))
        return self.average(lambda trained, _: self.preprocessor.transform(numbers, codes, trained.input_constants))

    def random_inputs(self, count: int) -> tuple[RawInputs, tuple[Tensor, ...]]:
        preprocessor = self.preprocessor
        constants = self.model.networks[0].input_constants
        generator = np.random.default_rng(count)
        noise = generator.normal(0, 2, (count, len(preprocessor.numbers))).astype(np.float32)
        numbers = constants["input.mean"].numpy() + noise * constants["input.spread"].numpy()
        numbers[generator.random(numbers.shape) < 0.2] = np.nan
        level_counts = np.array([len(levels) for levels in preprocessor.levels], dtype=np.int64)
        codes = generator.integers(-1, level_counts, (count, len(level_counts)))
        table = Table(numbers, preprocessor.numbers, codes, preprocessor.categories, preprocessor.levels)
        tensors = {"numbers": torch.from_numpy(numbers), "codes": torch.from_numpy(codes)}
        return table, tuple(tensors[spec.name] for spec in self.inputs)


def build_module(model: TrainedModel, weights_file: Path | None, cache: Path) -> EndToEndModule:
    """Return the module of a model; raise UserError if the weights of its backbone are missing."""
    inputs = model.architecture.inputs
    if isinstance(inputs, TableInputs):
        return TableModule(model, inputs).eval()
    if isinstance(inputs, ImageInputs):
        return PixelModule(model, inputs).eval()
    backbone = PretrainedBackbone.from_trained_model(inputs, model.architecture.model.tail, weights_file, cache)
    return ViewsModule(model, inputs, backbone).eval()
