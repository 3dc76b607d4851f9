"""From pictures or table rows to the numbers a network reads; whatever is learned is learned from training rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, FailFast, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from pipeline.config.datasets import STRICT, PictureSide
from pipeline.data.examples import Examples, Pictures, Table

Constants = dict[str, Tensor]
Text = Annotated[str, Field(max_length=1_000)]


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("each name once")
    return names


Names = Annotated[tuple[Text, ...], FailFast(), AfterValidator(_distinct)]


@dataclass(frozen=True, config=STRICT)
class PictureInputs:
    """RGB pictures of size x size; each channel is shifted and scaled by its mean and spread over the training rows."""

    kind: Literal["pictures"]
    size: PictureSide

    @property
    def features(self) -> int:
        """How many numbers a picture is: 3 x size x size."""
        return 3 * self.size * self.size

    def bytes(self, rows: int) -> int:
        """How large so many pictures are on the device."""
        return rows * self.features

    def recode(self, raw: Pictures | Table) -> Pictures | Table:
        """Pictures, as they are."""
        return raw

    def resident(self, raw: Pictures | Table, constants: Constants, device: torch.device) -> Tensor:
        """uint8 [N, 3, H, W] on the device; scaled only when a batch is taken, so that all folds share one copy."""
        assert isinstance(raw, Pictures)
        return torch.from_numpy(np.array(raw.pixels)).to(device)

    def batch(self, rows: Tensor, constants: Constants) -> Tensor:
        """uint8 [n, 3, H, W] to float32 [n, 3 H W]."""
        out = torch.empty(len(rows), self.features, device=rows.device)
        self.scale(rows, constants, out)
        return out

    def scale(self, rows: Tensor, constants: Constants, out: Tensor) -> None:
        """Writes uint8 [n, 3, H, W] as float32 [n, 3 H W]."""
        mean, spread = constants["input.mean"], constants["input.spread"]
        pixels = out.view(len(rows), 3, -1)
        torch.sub(rows.flatten(2), mean[:, None], out=pixels)
        pixels.div_(spread[:, None])

    def gather(self, resident: Tensor, rows: Tensor, constants: Constants, out: Tensor) -> None:
        """Writes some of the resident pictures as float32 [n, 3 H W]."""
        self.scale(resident.index_select(0, rows), constants, out)

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each constant."""
        return {"input.mean": (3,), "input.spread": (3,)}

    def learn(self, raw: Pictures | Table, rows: NDArray[np.int64]) -> Constants:
        """Mean and standard deviation of each channel over the given rows, on the scale 0 to 255."""
        assert isinstance(raw, Pictures)
        pixels = np.asarray(raw.pixels[rows])
        counts = np.stack([np.bincount(pixels[:, channel].reshape(-1), minlength=256) for channel in range(3)])
        shares, levels = counts / counts.sum(1, keepdims=True), np.arange(256)
        mean = shares @ levels
        spread = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 1.0))
        return {"input.mean": _float32(mean), "input.spread": _float32(spread)}


@dataclass(frozen=True, config=STRICT)
class TableInputs:
    """Columns of a table: numbers standardised, missing ones imputed and (where listed) flagged, categories one-hot.

    levels: for each category column its known levels; one more column stands for a missing or an unseen level.
    """

    kind: Literal["table"]
    numbers: Names
    flagged: Names
    categories: Names
    levels: Annotated[tuple[Names, ...], FailFast()]

    def __post_init__(self) -> None:
        """Raises ValueError where the columns do not fit one another."""
        if not set(self.flagged) <= set(self.numbers):
            raise ValueError("flagged: some of the numbers")
        if len(self.levels) != len(self.categories):
            raise ValueError("levels: a list for each of the categories")
        if not self.numbers and not self.categories:
            raise ValueError("numbers or categories: one column at least")

    @property
    def features(self) -> int:
        """How many numbers a row becomes."""
        return len(self.numbers) + len(self.flagged) + sum(len(levels) + 1 for levels in self.levels)

    def bytes(self, rows: int) -> int:
        """How large so many rows are on the device."""
        return 4 * rows * self.features

    def resident(self, raw: Pictures | Table, constants: Constants, device: torch.device) -> Tensor:
        """float32 [N, features] on the device: the whole table, ready for the network."""
        assert isinstance(raw, Table)
        numbers = torch.from_numpy(np.array(raw.numbers)).to(device)
        missing = numbers.isnan()
        filled = torch.where(missing, constants["input.median"], numbers)
        scaled = (filled - constants["input.mean"]) / constants["input.spread"]
        flags = missing[:, [self.numbers.index(name) for name in self.flagged]].float()
        return torch.cat([scaled, flags, *self._one_hot(raw, constants, device)], dim=1)

    def batch(self, rows: Tensor, constants: Constants) -> Tensor:
        """float32 [n, features], as it is."""
        return rows

    def scale(self, rows: Tensor, constants: Constants, out: Tensor) -> None:
        """Writes float32 [n, features], as it is."""
        out.copy_(rows)

    def gather(self, resident: Tensor, rows: Tensor, constants: Constants, out: Tensor) -> None:
        """Writes some of the resident rows, as they are."""
        torch.index_select(resident, 0, rows, out=out)

    def _one_hot(self, raw: Table, constants: Constants, device: torch.device) -> list[Tensor]:
        """A float32 [N, levels + 1] for each category column; the last column is "missing or unseen"."""
        columns, start = [], 0
        for column, levels in enumerate(self.levels):
            codes = torch.from_numpy(raw.codes[:, column].copy()).to(device)
            seen = torch.nn.functional.pad(constants["input.seen"][start : start + len(levels)], (0, 1))
            known = torch.where(seen[codes] > 0, codes, len(levels))  # code -1 reads the padding: not seen
            columns.append(torch.nn.functional.one_hot(known, len(levels) + 1).float())
            start += len(levels)
        return columns

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each constant."""
        numbers, levels = (len(self.numbers),), (sum(map(len, self.levels)),)
        return {"input.median": numbers, "input.mean": numbers, "input.spread": numbers, "input.seen": levels}

    def learn(self, raw: Pictures | Table, rows: NDArray[np.int64]) -> Constants:
        """Median, mean and spread of each number, and which levels occur, over the given rows."""
        assert isinstance(raw, Table)
        numbers = raw.numbers[rows].astype(np.float64)
        with np.errstate(all="ignore"):
            median = np.array(
                [np.median(present) if len(present := column[~np.isnan(column)]) else 0.0 for column in numbers.T]
            )
        filled = np.where(np.isnan(numbers), median, numbers)
        spread = filled.std(axis=0)
        seen = [np.isin(np.arange(len(levels)), raw.codes[rows, column]) for column, levels in enumerate(self.levels)]
        return {
            "input.median": _float32(median),
            "input.mean": _float32(filled.mean(axis=0)),
            "input.spread": _float32(np.where(spread > 0, spread, 1.0)),
            "input.seen": _float32(np.concatenate([np.zeros(0), *seen])),
        }

    def recode(self, raw: Pictures | Table) -> Pictures | Table:
        """The same rows with codes into these levels; a level that is not among them becomes -1."""
        assert isinstance(raw, Table)
        codes = np.full((len(raw), len(self.categories)), -1, dtype=np.int64)
        for column, levels in enumerate(self.levels):
            index = {level: code for code, level in enumerate(levels)}
            translated = np.array([index.get(level, -1) for level in raw.levels[column]] + [-1], dtype=np.int64)
            codes[:, column] = translated[raw.codes[:, column]]
        return replace(raw, codes=codes, levels=self.levels)


Inputs = PictureInputs | TableInputs


def describe(examples: Examples, rows: NDArray[np.int64]) -> Inputs:
    """The layout of the inputs, from the development rows: one for all folds, so that their networks have one shape."""
    raw = examples.inputs
    if isinstance(raw, Pictures):
        return PictureInputs("pictures", int(raw.pixels.shape[-1]))
    flagged = tuple(
        name for name, column in zip(raw.number_names, raw.numbers[rows].T, strict=True) if np.isnan(column).any()
    )
    levels = tuple(
        tuple(level for code, level in enumerate(names) if code in set(raw.codes[rows, column].tolist()))
        for column, names in enumerate(raw.levels)
    )
    return TableInputs("table", raw.number_names, flagged, raw.category_names, levels)


def _float32(values: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
