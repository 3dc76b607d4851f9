"""Turn raw examples into the tensors that a network reads, with statistics of training rows only."""

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import NumberEncoding
from pipeline.data.examples import BackboneFeatures, Examples, Images, Table
from pipeline.preprocessing.backbone_features import FeatureInputs
from pipeline.preprocessing.base import Constants
from pipeline.preprocessing.images import ImageInputs
from pipeline.preprocessing.table import TableInputs

__all__ = ["Constants", "FeatureInputs", "ImageInputs", "Inputs", "TableInputs", "build_inputs"]

Inputs = ImageInputs | FeatureInputs | TableInputs


def build_inputs(
    examples: Examples, rows: NDArray[np.int64], encoding: NumberEncoding = "standard", max_bins: int = 32
) -> Inputs:
    """Return the layout of the inputs for int64 [n] development rows; all folds share it and its tensor shapes.

    encoding, max_bins: of the numbers of a table, see `TableInputs`.
    """
    raw = examples.inputs
    if isinstance(raw, Images):
        return ImageInputs("pictures", int(raw.pixels.shape[-1]))
    if isinstance(raw, BackboneFeatures):
        views = len(raw.views)
        return FeatureInputs("features", raw.backbone, raw.weights_sha256, raw.image_size, views, raw.feature_count)
    return _build_table_inputs(raw, rows, encoding if raw.number_names else "standard", max_bins)


def _build_table_inputs(raw: Table, rows: NDArray[np.int64], encoding: NumberEncoding, max_bins: int) -> TableInputs:
    missing = np.isnan(raw.numbers[rows]).T
    flagged = tuple(name for name, column in zip(raw.number_names, missing, strict=True) if column.any())
    codes = [np.unique(column) for column in raw.codes[rows].T]
    levels = [tuple(names[i] for i in known if i >= 0) for names, known in zip(raw.levels, codes, strict=True)]
    bins = () if encoding == "standard" else tuple(_count_bins(column, max_bins) for column in raw.numbers[rows].T)
    return TableInputs("table", raw.number_names, flagged, raw.category_names, tuple(levels), encoding, bins, raw.dates)


def _count_bins(column: NDArray[np.float32], max_bins: int) -> int:
    """Return the number of bins between the distinct values of float32 [n], at most `max_bins`."""
    return min(max_bins, max(1, len(np.unique(column[~np.isnan(column)]))) - 1)
