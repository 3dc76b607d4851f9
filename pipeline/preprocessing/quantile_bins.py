"""Quantile bins of number columns: piecewise-linear encoding, and a monotone map to a normal distribution."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config.schema import NumberEncoding
from pipeline.preprocessing.base import Constants, to_float32_tensor

FLOAT32_MAX = float(np.finfo(np.float32).max)
CLIP_BOUND = 3.0  # of the smooth clipping, in standard deviations
OVERFLOW_BOUND = 1e9  # in standard deviations; the square of more than 1e19 has no float32


def clip_smoothly(standardized: Tensor) -> Tensor:
    """Return x / sqrt(1 + (x / 3)^2), within -3 and 3, of float32 values in standard deviations.

    Source: RealMLP, Holzmüller et al. 2024, arXiv:2407.04491.
    """
    bounded = standardized.clamp(-OVERFLOW_BOUND, OVERFLOW_BOUND)
    return bounded / (1 + (bounded / CLIP_BOUND).square()).sqrt()


def encode_in_bins(numbers: Tensor, bins: Sequence[int], constants: Constants) -> Tensor:
    """Return the share of each bin that lies below the number, float32 [N, sum of bins], of numbers float32 [N, D].

    Component t of a column is clip((x - edge_t) / (edge_{t+1} - edge_t), 0, 1): piecewise-linear encoding
    (Gorishniy et al. 2022, arXiv:2203.05556), but the outer bins are bounded too. Minus infinity is below every bin.
    """
    columns = [column for column, count in enumerate(bins) for _ in range(count)]
    return ((numbers[:, columns] - constants["input.bin_edges"]) / constants["input.bin_widths"]).clamp(0, 1)


def map_to_normal(numbers: Tensor, bins: Sequence[int], constants: Constants) -> Tensor:
    """Return normal scores, float32 [N, D], of numbers float32 [N, D]: linear in each bin, constant outside of all."""
    rises = encode_in_bins(numbers, bins, constants) * constants["input.bin_rises"]
    sums = [column_rises.sum(1) for column_rises in torch.split(rises, list(bins), dim=1)]
    return constants["input.lowest_score"] + torch.stack(sums, dim=1)


def bin_constant_shapes(encoding: NumberEncoding, bins: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each constant of the bins by name."""
    if encoding == "standard":
        return {}
    shapes: dict[str, tuple[int, ...]] = {"input.bin_edges": (sum(bins),), "input.bin_widths": (sum(bins),)}
    if encoding == "quantile":
        shapes |= {"input.bin_rises": (sum(bins),), "input.lowest_score": (len(bins),)}
    return shapes


def fit_bins(encoding: NumberEncoding, columns: Sequence[NDArray[np.float32]], bins: Sequence[int]) -> Constants:
    """Return the constants of the bins; columns: for each number column its present values, float32 [n].

    Bins that these values do not fill, as values repeat, come last: no number reaches them.
    """
    if encoding == "standard":
        return {}
    edges = [find_edges(encoding, values, count) for values, count in zip(columns, bins, strict=True)]
    lower_edges = [_pad(column_edges[:-1], count, FLOAT32_MAX) for column_edges, count in zip(edges, bins, strict=True)]
    differences = [np.minimum(np.diff(column_edges), FLOAT32_MAX) for column_edges in edges]
    widths = [_pad(column, count, 1.0) for column, count in zip(differences, bins, strict=True)]
    constants = {"input.bin_edges": _join(lower_edges), "input.bin_widths": _join(widths)}
    if encoding == "quantile":
        scores = [normal_scores(column_edges, values) for column_edges, values in zip(edges, columns, strict=True)]
        rises = [_pad(np.diff(column), count, 0.0) for column, count in zip(scores, bins, strict=True)]
        lowest = np.array([column[0] if len(column) else 0.0 for column in scores])
        constants |= {"input.bin_rises": _join(rises), "input.lowest_score": to_float32_tensor(lowest)}
    return constants


def find_edges(encoding: NumberEncoding, values: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """Return the rising edges of at most `count` bins of float32 [n] values: the distinct values if these are few.

    Otherwise they are quantiles: of equal shares of the values, or with equal steps of their normal scores.
    """
    distinct = np.unique(values).astype(np.float64)
    if len(distinct) <= count + 1:
        return distinct
    shares = np.linspace(0, 1, count + 1)
    if encoding == "quantile":
        highest_score = -_inverse_normal_cdf(np.array(0.5 / len(values)))
        shares = torch.special.ndtr(torch.from_numpy(highest_score * np.linspace(-1, 1, count + 1))).numpy()
        shares[[0, -1]] = [0, 1]
    return np.unique(np.quantile(values.astype(np.float64), shares).astype(np.float32)).astype(np.float64)


def normal_scores(edges: NDArray[np.float64], values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the inverse normal distribution function at the share of values below each edge; equal ones count half."""
    ordered = np.sort(values)
    counts = np.searchsorted(ordered, edges, "left") + np.searchsorted(ordered, edges, "right")
    return _inverse_normal_cdf(counts / (2 * max(1, len(values))))


def _inverse_normal_cdf(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    scores: NDArray[np.float64] = torch.special.ndtri(torch.from_numpy(shares)).numpy()
    return scores


def _pad(values: NDArray[np.float64], count: int, padding: float) -> NDArray[np.float64]:
    return np.append(values, np.full(count - len(values), padding))


def _join(columns: Sequence[NDArray[np.float64]]) -> Tensor:
    return to_float32_tensor(np.concatenate([np.zeros(0), *columns]))
