"""From raw examples to the tensors that a network reads; every statistic is computed from training rows only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.data.examples import BackboneFeatures, Examples, Images
from pipeline.preprocessing.backbone_features import FeatureInputs
from pipeline.preprocessing.base import Constants, ShortText, UniqueNames
from pipeline.preprocessing.images import ImageInputs
from pipeline.preprocessing.table import TableInputs

__all__ = [
    "Constants",
    "FeatureInputs",
    "ImageInputs",
    "Inputs",
    "ShortText",
    "TableInputs",
    "UniqueNames",
    "build_inputs",
]

Inputs = ImageInputs | FeatureInputs | TableInputs


def build_inputs(examples: Examples, rows: NDArray[np.int64]) -> Inputs:
    """Return the layout of the inputs, int64 [n] development rows given.

    All folds share it, so that their networks have the same tensor shapes.
    """
    raw = examples.inputs
    if isinstance(raw, Images):
        return ImageInputs("pictures", int(raw.pixels.shape[-1]))
    if isinstance(raw, BackboneFeatures):
        return FeatureInputs(
            "features", raw.backbone, raw.weights_sha256, raw.image_size, len(raw.views), raw.feature_count
        )
    columns_with_missing = tuple(
        name for name, column in zip(raw.number_names, raw.numbers[rows].T, strict=True) if np.isnan(column).any()
    )
    levels = tuple(
        tuple(names[code] for code in np.unique(raw.codes[rows, column]) if code >= 0)
        for column, names in enumerate(raw.levels)
    )
    return TableInputs("table", raw.number_names, columns_with_missing, raw.category_names, levels)
