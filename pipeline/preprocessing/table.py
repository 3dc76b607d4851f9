"""Table rows as a network reads them: numbers scaled, what is missing imputed, categories one-hot."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import FailFast
from pydantic.dataclasses import dataclass
from torch import Tensor

from pipeline.config.strict_types import STRICT
from pipeline.data.examples import Raw, Table
from pipeline.preprocessing.base import Constants, Names, float32


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
    def columns(self) -> Names:
        """What a table must have."""
        return (*self.numbers, *self.categories)

    @property
    def features(self) -> int:
        """How many numbers a row becomes."""
        return len(self.numbers) + len(self.flagged) + sum(len(levels) + 1 for levels in self.levels)

    def bytes(self, rows: int) -> int:
        """How large so many rows are on the device."""
        return 4 * rows * self.features

    def resident(self, raw: Raw, constants: Constants, device: torch.device) -> Tensor:
        """float32 [N, features] on the device: the whole table, ready for the network."""
        assert isinstance(raw, Table)
        numbers, codes = (torch.from_numpy(np.array(columns)).to(device) for columns in (raw.numbers, raw.codes))
        return self.prepared(numbers, codes, constants)

    def prepared(self, numbers: Tensor, codes: Tensor, constants: Constants) -> Tensor:
        """float32 [N, features], from numbers float32 [N, D], NaN where one is missing, and codes int64 [N, C]."""
        missing = numbers.isnan()
        filled = torch.where(missing, constants["input.median"], numbers)
        scaled = (filled - constants["input.mean"]) / constants["input.spread"]
        flags = missing[:, [self.numbers.index(name) for name in self.flagged]].float()
        return torch.cat([scaled, flags, *self._one_hot(codes, constants)], dim=1)

    def batch(self, rows: Tensor, constants: Constants) -> Tensor:
        """float32 [n, features], as it is."""
        return rows

    def scale(self, rows: Tensor, constants: Constants, out: Tensor) -> None:
        """Writes float32 [n, features], as it is."""
        out.copy_(rows)

    def gather(self, resident: Tensor, rows: Tensor, constants: Constants, out: Tensor) -> None:
        """Writes some of the resident rows, as they are."""
        torch.index_select(resident, 0, rows, out=out)

    def _one_hot(self, codes: Tensor, constants: Constants) -> list[Tensor]:
        """A float32 [N, levels + 1] for each category column; the last column is "missing or unseen"."""
        columns, start = [], 0
        for coded, levels in zip(codes.unbind(1), self.levels, strict=True):
            seen = torch.nn.functional.pad(constants["input.seen"][start : start + len(levels)], (0, 1))
            known = torch.where(seen[coded] > 0, coded, len(levels))  # code -1 reads the padding: not seen
            columns.append(torch.nn.functional.one_hot(known, len(levels) + 1).float())
            start += len(levels)
        return columns

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each constant."""
        numbers, levels = (len(self.numbers),), (sum(map(len, self.levels)),)
        return {"input.median": numbers, "input.mean": numbers, "input.spread": numbers, "input.seen": levels}

    def learn(self, raw: Raw, rows: NDArray[np.int64]) -> Constants:
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
            "input.median": float32(median),
            "input.mean": float32(filled.mean(axis=0)),
            "input.spread": float32(np.where(spread > 0, spread, 1.0)),
            "input.seen": float32(np.concatenate([np.zeros(0), *seen])),
        }

    def recode(self, raw: Raw) -> Raw:
        """The same rows with codes into these levels; a level that is not among them becomes -1."""
        assert isinstance(raw, Table)
        codes = np.full((len(raw), len(self.categories)), -1, dtype=np.int64)
        for column, levels in enumerate(self.levels):
            index = {level: code for code, level in enumerate(levels)}
            translated = np.array([index.get(level, -1) for level in raw.levels[column]] + [-1], dtype=np.int64)
            codes[:, column] = translated[raw.codes[:, column]]
        return replace(raw, codes=codes, levels=self.levels)
