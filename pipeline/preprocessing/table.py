"""Table inputs: numbers scaled or binned, missing values imputed by the median, categories one-hot encoded."""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import FailFast, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from pipeline.config.schema import MAX_BINS, NumberEncoding
from pipeline.config.strict_types import STRICT_CONFIG, StrictInt
from pipeline.data.date_columns import DateColumn, list_file_columns
from pipeline.data.examples import RawInputs, Table
from pipeline.preprocessing import quantile_bins
from pipeline.preprocessing.base import Constants, UniqueNames, to_float32_tensor

MAX_CHUNK_VALUES = 2**24  # of the tensors in between, 64 MB as float32
BinCounts = Annotated[tuple[Annotated[StrictInt, Field(ge=0, le=MAX_BINS)], ...], FailFast()]


@dataclass(frozen=True, config=STRICT_CONFIG)
class TableInputs:
    """Columns of a table: numbers, imputed and scaled; flags of missing values; bins; categories, one-hot encoded.

    flagged: number columns with a missing-value flag. levels: the known levels of each category column; one more
    one-hot column stands for a missing or unknown level.
    dates: the columns of a file that some of the numbers stand for.
    encoding: numbers are standardized, mapped to a normal distribution by quantiles, or standardized, clipped and
    encoded in quantile bins. bins: their maximum for each number column. A file has neither for `standard`.
    """

    kind: Literal["table"]
    numbers: UniqueNames
    flagged: UniqueNames
    categories: UniqueNames
    levels: Annotated[tuple[UniqueNames, ...], FailFast()]
    encoding: Annotated[NumberEncoding, Field(exclude_if=lambda value: value == "standard")] = "standard"
    bins: Annotated[BinCounts, Field(exclude_if=lambda value: not value)] = ()
    dates: Annotated[tuple[DateColumn, ...], FailFast(), Field(exclude_if=lambda value: not value)] = ()

    def __post_init__(self) -> None:
        """Raise ValueError if the columns contradict each other."""
        if not set(self.flagged) <= set(self.numbers):
            raise ValueError("flagged: must be a subset of numbers")
        if len(self.levels) != len(self.categories):
            raise ValueError("levels: must have one list for each category column")
        if not self.numbers and not self.categories:
            raise ValueError("numbers or categories: must have at least one column")
        if self.encoding != "standard" and not self.numbers:
            raise ValueError("encoding: must be standard without numbers")
        if len(self.bins) != (0 if self.encoding == "standard" else len(self.numbers)):
            raise ValueError("bins: must have one count for each of numbers, and none with encoding standard")

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that a file for predictions must have."""
        return list_file_columns(self.numbers, self.categories, self.dates)

    @property
    def feature_count(self) -> int:
        """Return the number of features per row."""
        bin_count = sum(self.bins) if self.encoding == "piecewise" else 0
        return len(self.numbers) + len(self.flagged) + bin_count + sum(len(levels) + 1 for levels in self.levels)

    def device_bytes(self, row_count: int) -> int:
        """Return the device memory of `row_count` rows, in bytes."""
        return 4 * row_count * self.feature_count

    def to_device(self, raw: RawInputs, constants: Constants, device: torch.device) -> Tensor:
        """Return the whole table, transformed, as float32 [N, features] on the device."""
        assert isinstance(raw, Table)
        numbers = torch.from_numpy(np.array(raw.numbers)).to(device)
        codes = torch.from_numpy(np.array(raw.codes)).to(device)
        chunk_rows = max(1, MAX_CHUNK_VALUES // (self.feature_count + sum(self.bins)))
        chunks = zip(torch.split(numbers, chunk_rows), torch.split(codes, chunk_rows), strict=True)
        return torch.cat([self.transform(*chunk, constants) for chunk in chunks])

    def transform(self, numbers: Tensor, codes: Tensor, constants: Constants) -> Tensor:
        """Return float32 [N, features] of numbers float32 [N, D], NaN for missing, and category codes int64 [N, C]."""
        missing = numbers.isnan()
        imputed = torch.where(missing, constants["input.median"], numbers)
        flags = missing[:, [self.numbers.index(name) for name in self.flagged]].float()
        columns = [self._scale(imputed, constants), flags]
        if self.encoding == "piecewise":
            columns.append(self._encode_in_bins(imputed, missing, constants))
        start = 0
        for column_codes, levels in zip(codes.unbind(1), self.levels, strict=True):
            is_known_level = torch.nn.functional.pad(constants["input.seen"][start : start + len(levels)], (0, 1))
            # Code -1 indexes the padding, which is 0: missing counts as unknown.
            known_codes = torch.where(is_known_level[column_codes] > 0, column_codes, len(levels))
            columns.append(torch.nn.functional.one_hot(known_codes, len(levels) + 1).float())
            start += len(levels)
        return torch.cat(columns, dim=1)

    def _scale(self, imputed: Tensor, constants: Constants) -> Tensor:
        if self.encoding == "quantile":
            return quantile_bins.map_to_normal(imputed, self.bins, constants)
        standardized = (imputed - constants["input.mean"]) / constants["input.spread"]
        return standardized if self.encoding == "standard" else quantile_bins.clip_smoothly(standardized)

    def _encode_in_bins(self, imputed: Tensor, missing: Tensor, constants: Constants) -> Tensor:
        """Return the bins; a missing number lies below all of them if its column's flag says that it is missing."""
        is_flagged = torch.tensor([name in self.flagged for name in self.numbers], device=missing.device)
        numbers = imputed.masked_fill(missing & is_flagged, -torch.inf)
        return quantile_bins.encode_in_bins(numbers, self.bins, constants)

    def prepare_batch(self, rows: Tensor, constants: Constants) -> Tensor:
        """Return float32 [n, features] rows unchanged: `to_device` has transformed them."""
        return rows

    def scale_into(self, rows: Tensor, constants: Constants, out: Tensor) -> None:
        """Copy float32 [n, features] rows into `out`."""
        out.copy_(rows)

    def gather(self, inputs: Tensor, indices: Tensor, constants: Constants, out: Tensor) -> None:
        """Copy the rows at int64 [n] indices of the device tensor into `out`, float32 [n, features]."""
        torch.index_select(inputs, 0, indices, out=out)

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each constant by name."""
        numbers = (len(self.numbers),)
        levels = (sum(map(len, self.levels)),)
        shapes = {"input.median": numbers, "input.mean": numbers, "input.spread": numbers, "input.seen": levels}
        return shapes | quantile_bins.bin_constant_shapes(self.encoding, self.bins)

    def fit(self, raw: RawInputs, rows: NDArray[np.int64]) -> Constants:
        """Compute each number's median, mean, standard deviation and bins, and the levels that occur.

        rows: int64 [n], the training rows.
        """
        assert isinstance(raw, Table)
        numbers = raw.numbers[rows].astype(np.float64)
        columns = [column[~np.isnan(column)] for column in numbers.T]
        with np.errstate(all="ignore"):
            median = np.array([np.median(column) if len(column) else 0.0 for column in columns])
        imputed = np.where(np.isnan(numbers), median, numbers)
        std = imputed.std(axis=0)
        codes = zip(self.levels, raw.codes[rows].T, strict=True)
        level_occurs = [np.isin(np.arange(len(levels)), column) for levels, column in codes]
        bin_constants = quantile_bins.fit_bins(self.encoding, columns, self.bins)
        return {
            "input.median": to_float32_tensor(median),
            "input.mean": to_float32_tensor(imputed.mean(axis=0)),
            "input.spread": to_float32_tensor(np.where(std > 0, std, 1.0)),
            "input.seen": to_float32_tensor(np.concatenate([np.zeros(0), *level_occurs])),
            **bin_constants,
        }

    def map_categories(self, raw: RawInputs) -> RawInputs:
        """Recode a table's categories as indices into these levels; an unknown level becomes -1."""
        assert isinstance(raw, Table)
        codes = np.full((len(raw), len(self.categories)), -1, dtype=np.int64)
        for column, levels in enumerate(self.levels):
            index = {level: code for code, level in enumerate(levels)}
            mapped_codes = np.array([index.get(level, -1) for level in raw.levels[column]] + [-1], dtype=np.int64)
            codes[:, column] = mapped_codes[raw.codes[:, column]]
        return replace(raw, codes=codes, levels=self.levels)
