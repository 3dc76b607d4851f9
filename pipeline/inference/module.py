"""A whole model as one torch module: from pixels or a table's columns to answers, with all that is in between."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.artifact.model_files import TrainedModel
from pipeline.data.examples import Pictures, Raw, Table
from pipeline.models.backbones import Frozen, split
from pipeline.models.backbones.views import view
from pipeline.models.networks import Convolutional, Dense, Tuned
from pipeline.preprocessing import FeatureInputs, PictureInputs, TableInputs


@dataclass(frozen=True)
class Input:
    """What a module reads: its name, how large it is for one row, and what is in it, for a person."""

    name: str
    shape: tuple[int, ...]
    says: str


class Whole(nn.Module, ABC):
    """Everything that a model does, in full precision; gives float32 [N, columns of the head].

    inputs: what `forward` reads, each with the rows first.
    """

    inputs: tuple[Input, ...]

    def __init__(self, trained: TrainedModel) -> None:
        super().__init__()
        self.trained, self.network = trained, trained.network()
        self.dense = self.network if isinstance(self.network, Dense) else self.network.dense
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)

    def dynamic(self, rows: dict[int, Any]) -> tuple[Any, ...]:
        """For each argument of `forward` that its rows vary."""
        return tuple(rows for _ in self.inputs)

    def answer(self, features: Tensor) -> Tensor:
        """From what the fully connected layers read."""
        head = self.trained.architecture.head
        return head.answer(self.dense(features), self.trained.target_constants)

    @abstractmethod
    def drawn(self, rows: int) -> tuple[Raw, tuple[Tensor, ...]]:
        """Some rows without meaning, as `TrainedModel.answers` takes them (but for a backbone), and as this does."""


class FromPixels(Whole):
    """Reads pictures: uint8 [N, 3, S, S]."""

    def __init__(self, trained: TrainedModel, layout: PictureInputs | FeatureInputs) -> None:
        super().__init__(trained)
        self.size = layout.size
        side = f"{self.size} x {self.size}"
        said = f"uint8, RGB, 0 to 255: the whole picture, turned upright, squeezed to {side} (bilinear, antialiased)"
        self.inputs = (Input("pixels", (3, self.size, self.size), said),)

    def forward(self, pixels: Tensor) -> Tensor:
        """The answers."""
        constants = self.trained.input_constants
        mean, spread = (constants[name].view(1, 3, 1, 1) for name in ("input.mean", "input.spread"))
        scaled = (pixels - mean) / spread
        if isinstance(self.network, Convolutional):  # all at once: how many there are is not known here
            return self.answer(self.network.blocks(scaled, self.network.activation))
        return self.answer(scaled.flatten(1))

    def drawn(self, rows: int) -> tuple[Raw, tuple[Tensor, ...]]:
        shape = (rows, 3, self.size, self.size)
        pixels = np.random.default_rng(rows).integers(0, 256, shape, dtype=np.uint8)
        return Pictures(pixels), (torch.from_numpy(pixels),)


class FromViews(FromPixels):
    """Reads pictures, and looks at them through a backbone, which is a part of it, trained along or not."""

    def __init__(self, trained: TrainedModel, layout: FeatureInputs, frozen: Frozen) -> None:
        super().__init__(trained, layout)
        self.layout, self.look = layout, frozen.look
        self.body: nn.Module = frozen.body
        if isinstance(self.network, Tuned):
            tail = trained.architecture.model.tail
            assert tail is not None
            self.body = nn.Sequential(split.stem(frozen.body, tail) or nn.Identity(), self.network.backbone.tail)

    def forward(self, pixels: Tensor) -> Tensor:
        """The answers, from the mean over the views."""
        views = torch.cat([view(pixels, number) for number in range(self.layout.views)])  # the body is there once
        mean = self.body(views).unflatten(0, (self.layout.views, -1)).mean(0)
        return self.answer(self.layout.batch(mean, self.trained.input_constants))

    def drawn(self, rows: int) -> tuple[Raw, tuple[Tensor, ...]]:
        pictures, tensors = super().drawn(rows)
        assert isinstance(pictures, Pictures)
        return self.look(pictures, self.layout.views), tensors


class FromTable(Whole):
    """Reads the columns of a table: numbers float32 [N, D], and codes of categories int64 [N, C], if there are any."""

    def __init__(self, trained: TrainedModel, layout: TableInputs) -> None:
        super().__init__(trained)
        self.layout = layout
        numbers = "float32: the numbers as in the table, NaN where one is missing"
        codes = "int64: of each category its place among the levels, from 0; -1 where it is missing or none of them"
        both = (
            Input("numbers", (len(layout.numbers),), numbers),
            Input("codes", (len(layout.categories),), codes),
        )
        self.inputs = tuple(each for each in both if each.shape != (0,))

    def forward(self, *columns: Tensor) -> Tensor:
        """The answers."""
        given = dict(zip((each.name for each in self.inputs), columns, strict=True))
        rows = columns[0].shape[0]  # `len` would fix it
        numbers = given.get("numbers", torch.zeros(rows, 0))
        codes = given.get("codes", torch.zeros(rows, 0, dtype=torch.int64))
        return self.answer(self.layout.prepared(numbers, codes, self.trained.input_constants))

    def dynamic(self, rows: dict[int, Any]) -> tuple[Any, ...]:
        return (super().dynamic(rows),)  # one argument of several

    def drawn(self, rows: int) -> tuple[Raw, tuple[Tensor, ...]]:
        layout, constants = self.layout, self.trained.input_constants
        generator = np.random.default_rng(rows)
        spread = generator.normal(0, 2, (rows, len(layout.numbers))).astype(np.float32)
        numbers = constants["input.mean"].numpy() + spread * constants["input.spread"].numpy()
        numbers[generator.random(numbers.shape) < 0.2] = np.nan
        highest = np.array([len(levels) for levels in layout.levels], dtype=np.int64)
        codes = generator.integers(-1, highest, (rows, len(highest)))
        table = Table(numbers, layout.numbers, codes, layout.categories, layout.levels)
        tensors = {"numbers": torch.from_numpy(numbers), "codes": torch.from_numpy(codes)}
        return table, tuple(tensors[each.name] for each in self.inputs)


def whole(trained: TrainedModel, weights: Path | None, cache: Path) -> Whole:
    """The module of a model; raises DataError where the weights of its backbone are not at hand."""
    layout = trained.architecture.inputs
    if isinstance(layout, TableInputs):
        return FromTable(trained, layout).eval()
    if isinstance(layout, FeatureInputs):
        return FromViews(
            trained, layout, Frozen.of_model(layout, trained.architecture.model.tail, weights, cache)
        ).eval()
    return FromPixels(trained, layout).eval()
