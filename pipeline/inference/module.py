"""Trained model with its preprocessing as one torch module: from pixels or table columns to predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.artifact.model_files import TrainedModel
from pipeline.data.examples import Images, RawInputs, Table
from pipeline.models.backbones import PretrainedBackbone, split
from pipeline.models.backbones.views import apply_view
from pipeline.models.networks import ConvolutionalNetwork, DenseNetwork, FinetunedNetwork
from pipeline.preprocessing import FeatureInputs, ImageInputs, TableInputs


@dataclass(frozen=True)
class InputSpec:
    """Input of a module: its name, its shape for one row, and a description."""

    name: str
    shape: tuple[int, ...]
    description: str


class EndToEndModule(nn.Module, ABC):
    """Preprocessing, backbone, network and head in full precision; returns float32 [N, outputs of the head].

    inputs: arguments of `forward`, each with the rows as first dimension.
    """

    inputs: tuple[InputSpec, ...]

    def __init__(self, trained_model: TrainedModel) -> None:
        super().__init__()
        self.trained_model = trained_model
        self.network = trained_model.build_network()
        self.dense = self.network if isinstance(self.network, DenseNetwork) else self.network.dense
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)

    def dynamic_shapes(self, batch_dimension: dict[int, Any]) -> tuple[Any, ...]:
        """Return `dynamic_shapes` of torch.export: each argument varies in its number of rows."""
        return tuple(batch_dimension for _ in self.inputs)

    def predict_from_features(self, features: Tensor) -> Tensor:
        """Return the predictions for the inputs of the fully connected layers."""
        head = self.trained_model.architecture.head
        return head.to_predictions(self.dense(features), self.trained_model.target_constants)

    @abstractmethod
    def random_inputs(self, count: int) -> tuple[RawInputs, tuple[Tensor, ...]]:
        """Return random rows as arguments of `TrainedModel.predict` (after the backbone) and of `forward`."""


class PixelModule(EndToEndModule):
    """Module that takes images: uint8 [N, 3, S, S]."""

    def __init__(self, trained_model: TrainedModel, preprocessor: ImageInputs | FeatureInputs) -> None:
        super().__init__(trained_model)
        self.image_size = preprocessor.size
        side = f"{self.image_size} x {self.image_size}"
        description = (
            f"uint8, RGB, 0 to 255: the whole picture, turned upright, squeezed to {side} (bilinear, antialiased)"
        )
        self.inputs = (InputSpec("pixels", (3, self.image_size, self.image_size), description),)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the predictions."""
        constants = self.trained_model.input_constants
        mean, spread = (constants[name].view(1, 3, 1, 1) for name in ("input.mean", "input.spread"))
        scaled = (pixels - mean) / spread
        if isinstance(
            self.network, ConvolutionalNetwork
        ):  # in one batch: their number is not known while the graph is traced
            return self.predict_from_features(self.network.blocks(scaled, self.network.activation))
        return self.predict_from_features(scaled.flatten(1))

    def random_inputs(self, count: int) -> tuple[RawInputs, tuple[Tensor, ...]]:
        shape = (count, 3, self.image_size, self.image_size)
        pixels = np.random.default_rng(count).integers(0, 256, shape, dtype=np.uint8)
        return Images(pixels), (torch.from_numpy(pixels),)


class ViewsModule(PixelModule):
    """Module that takes images and contains the backbone, finetuned or frozen."""

    def __init__(self, trained_model: TrainedModel, preprocessor: FeatureInputs, backbone: PretrainedBackbone) -> None:
        super().__init__(trained_model, preprocessor)
        self.preprocessor = preprocessor
        self.extract_features = backbone.extract
        self.body: nn.Module = backbone.network
        if isinstance(self.network, FinetunedNetwork):
            finetune = trained_model.architecture.model.tail
            assert finetune is not None
            self.body = nn.Sequential(split.build_stem(backbone.network, finetune), self.network.backbone.tail)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the predictions from the mean of the features over the views."""
        # one batch of all views, so that the graph contains the body once
        views = torch.cat([apply_view(pixels, number) for number in range(self.preprocessor.views)])
        mean = self.body(views).unflatten(0, (self.preprocessor.views, -1)).mean(0)
        return self.predict_from_features(self.preprocessor.prepare_batch(mean, self.trained_model.input_constants))

    def random_inputs(self, count: int) -> tuple[RawInputs, tuple[Tensor, ...]]:
        images, tensors = super().random_inputs(count)
        assert isinstance(images, Images)
        return self.extract_features(images, self.preprocessor.views), tensors


class TableModule(EndToEndModule):
    """Module that takes table columns: numbers float32 [N, D] and category codes int64 [N, C], if there are any."""

    def __init__(self, trained_model: TrainedModel, preprocessor: TableInputs) -> None:
        super().__init__(trained_model)
        self.preprocessor = preprocessor
        numbers_description = "float32: the numbers as in the table, NaN where one is missing"
        codes_description = (
            "int64: of each category its place among the levels, from 0; -1 where it is missing or none of them"
        )
        specs = (
            InputSpec("numbers", (len(preprocessor.numbers),), numbers_description),
            InputSpec("codes", (len(preprocessor.categories),), codes_description),
        )
        self.inputs = tuple(each for each in specs if each.shape != (0,))

    def forward(self, *columns: Tensor) -> Tensor:
        """Return the predictions."""
        tensors = dict(zip((each.name for each in self.inputs), columns, strict=True))
        batch_size = columns[0].shape[0]  # torch.export would fix the result of `len`
        numbers = tensors.get("numbers", torch.zeros(batch_size, 0))
        codes = tensors.get("codes", torch.zeros(batch_size, 0, dtype=torch.int64))
        return self.predict_from_features(
            self.preprocessor.transform(numbers, codes, self.trained_model.input_constants)
        )

    def dynamic_shapes(self, batch_dimension: dict[int, Any]) -> tuple[Any, ...]:
        return (super().dynamic_shapes(batch_dimension),)  # one argument of several

    def random_inputs(self, count: int) -> tuple[RawInputs, tuple[Tensor, ...]]:
        preprocessor = self.preprocessor
        constants = self.trained_model.input_constants
        generator = np.random.default_rng(count)
        noise = generator.normal(0, 2, (count, len(preprocessor.numbers))).astype(np.float32)
        numbers = constants["input.mean"].numpy() + noise * constants["input.spread"].numpy()
        numbers[generator.random(numbers.shape) < 0.2] = np.nan
        level_counts = np.array([len(levels) for levels in preprocessor.levels], dtype=np.int64)
        codes = generator.integers(-1, level_counts, (count, len(level_counts)))
        table = Table(numbers, preprocessor.numbers, codes, preprocessor.categories, preprocessor.levels)
        tensors = {"numbers": torch.from_numpy(numbers), "codes": torch.from_numpy(codes)}
        return table, tuple(tensors[each.name] for each in self.inputs)


def build_module(trained_model: TrainedModel, weights: Path | None, cache: Path) -> EndToEndModule:
    """Return the module of a model; raise DataError if the weights of its backbone are missing."""
    preprocessor = trained_model.architecture.inputs
    if isinstance(preprocessor, TableInputs):
        return TableModule(trained_model, preprocessor).eval()
    if isinstance(preprocessor, FeatureInputs):
        return ViewsModule(
            trained_model,
            preprocessor,
            PretrainedBackbone.from_trained_model(preprocessor, trained_model.architecture.model.tail, weights, cache),
        ).eval()
    return PixelModule(trained_model, preprocessor).eval()
