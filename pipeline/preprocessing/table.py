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

from pipeline.config.strict_types import STRICT_CONFIG
from pipeline.data.examples import RawInputs, Table
from pipeline.preprocessing.base import Constants, UniqueNames, to_float32_tensor


@dataclass(frozen=True, config=STRICT_CONFIG)
class TableInputs:
    """Columns of a table: numbers standardised, missing ones imputed and (where listed) flagged, categories one-hot.

    levels: for each category column its known levels; one more column stands for a missing or an unseen level.
    """

    kind: Literal["table"]
    numbers: UniqueNames
    flagged: UniqueNames
    categories: UniqueNames
    levels: Annotated[tuple[UniqueNames, ...], FailFast()]

    def __post_init__(self) -> None:
        """Raises ValueError where the columns do not fit one another."""
        if not set(self.flagged) <= set(self.numbers):
            raise ValueError("flagged: some of the numbers")
        if len(self.levels) != len(self.categories):
            raise ValueError("levels: a list for each of the categories")
        if not self.numbers and not self.categories:
            raise ValueError("numbers or categories: one column at least")

    @property
    def column_names(self) -> UniqueNames:
        """What a table must have."""
        return (*self.numbers, *self.categories)

    @property
    def feature_count(self) -> int:
        """How many numbers a row becomes."""
        return len(self.numbers) + len(self.flagged) + sum(len(levels) + 1 for levels in self.levels)

    def device_bytes(self, row_count: int) -> int:
        """How large so many rows are on the device."""
        return 4 * row_count * self.feature_count

    def to_device(self, raw: RawInputs, constants: Constants, device: torch.device) -> Tensor:
        """float32 [N, features] on the device: the whole table, ready for the network."""
        assert isinstance(raw, Table)
        numbers, codes = (torch.from_numpy(np.array(columns)).to(device) for columns in (raw.numbers, raw.codes))
        return self.transform(numbers, codes, constants)

    def transform(self, numbers: Tensor, codes: Tensor, constants: Constants) -> Tensor:
        """float32 [N, features], from numbers float32 [N, D], NaN where one is missing, and codes int64 [N, C]."""
        missing = numbers.isnan()
        imputed = torch.where(missing, constants["input.median"], numbers)
        scaled = (imputed - constants["input.mean"]) / constants["input.spread"]
        flags = missing[:, [self.numbers.index(name) for name in self.flagged]].float()
        return torch.cat([scaled, flags, *self._encode_one_hot(codes, constants)], dim=1)

    def prepare_batch(self, rows: Tensor, constants: Constants) -> Tensor:
        """float32 [n, features], as it is."""
        return rows

    def scale_into(self, rows: Tensor, constants: Constants, out: Tensor) -> None:
        """Writes float32 [n, features], as it is."""
        out.copy_(rows)

    def gather(self, inputs: Tensor, indices: Tensor, constants: Constants, out: Tensor) -> None:
        """Writes some of the resident rows, as they are."""
        torch.index_select(inputs, 0, indices, out=out)

    def _encode_one_hot(self, codes: Tensor, constants: Constants) -> list[Tensor]:
        """A float32 [N, levels + 1] for each category column; the last column is "missing or unseen"."""
        columns, start = [], 0
        for column_codes, levels in zip(codes.unbind(1), self.levels, strict=True):
            is_known_level = torch.nn.functional.pad(constants["input.seen"][start : start + len(levels)], (0, 1))
            known_codes = torch.where(
                is_known_level[column_codes] > 0, column_codes, len(levels)
            )  # code -1 reads the padding: not seen
            columns.append(torch.nn.functional.one_hot(known_codes, len(levels) + 1).float())
            start += len(levels)
        return columns

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each constant."""
        numbers, levels = (len(self.numbers),), (sum(map(len, self.levels)),)
        return {"input.median": numbers, "input.mean": numbers, "input.spread": numbers, "input.seen": levels}

    def fit(self, raw: RawInputs, rows: NDArray[np.int64]) -> Constants:
        """Median, mean and spread of each number, and which levels occur, over the given rows."""
        assert isinstance(raw, Table)
        numbers = raw.numbers[rows].astype(np.float64)
        with np.errstate(all="ignore"):
            median = np.array(
                [np.median(present) if len(present := column[~np.isnan(column)]) else 0.0 for column in numbers.T]
            )
        imputed = np.where(np.isnan(numbers), median, numbers)
        std = imputed.std(axis=0)
        level_occurs = [
            np.isin(np.arange(len(levels)), raw.codes[rows, column]) for column, levels in enumerate(self.levels)
        ]
        return {
            "input.median": to_float32_tensor(median),
            "input.mean": to_float32_tensor(imputed.mean(axis=0)),
            "input.spread": to_float32_tensor(np.where(std > 0, std, 1.0)),
            "input.seen": to_float32_tensor(np.concatenate([np.zeros(0), *level_occurs])),
        }

    def map_categories(self, raw: RawInputs) -> RawInputs:
        """The same rows with codes into these levels; a level that is not among them becomes -1."""
        assert isinstance(raw, Table)
        codes = np.full((len(raw), len(self.categories)), -1, dtype=np.int64)
        for column, levels in enumerate(self.levels):
            index = {level: code for code, level in enumerate(levels)}
            mapped_codes = np.array([index.get(level, -1) for level in raw.levels[column]] + [-1], dtype=np.int64)
            codes[:, column] = mapped_codes[raw.codes[:, column]]
        return replace(raw, codes=codes, levels=self.levels)
