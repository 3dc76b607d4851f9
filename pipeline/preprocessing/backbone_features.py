"""Backbone feature inputs: the outputs of a pretrained network for one or several views of an image, standardized."""

from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from pipeline.config.datasets import ImageSize
from pipeline.config.model import PretrainedName
from pipeline.config.strict_types import STRICT_CONFIG, StrictInt
from pipeline.data.examples import BackboneFeatures, RawInputs
from pipeline.preprocessing.base import Constants, to_float32_tensor

MIN_STD_DIVISOR = 100  # a feature's standard deviation counts as at least 1/100 of the mean one


@dataclass(frozen=True, config=STRICT_CONFIG)
class FeatureInputs:
    """Outputs of a frozen backbone, each standardized by its mean and standard deviation over training rows.

    backbone, weights_sha256: the network and the hash of its weights file. size: side of the images, in pixels.
    views: number of views per image. count: number of features per view.
    """

    kind: Literal["features"]
    backbone: PretrainedName
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: ImageSize
    views: Annotated[StrictInt, Field(ge=1, le=64)]
    count: Annotated[StrictInt, Field(ge=1, le=65_536)]

    @property
    def feature_count(self) -> int:
        """Return the number of features per image."""
        return self.count

    @property
    def rows_per_image(self) -> int:
        """Return the number of rows per image on the device: the mean over views and, if several, each view."""
        return 1 if self.views == 1 else 1 + self.views

    def device_bytes(self, row_count: int) -> int:
        """Return the device memory of `row_count` images, in bytes."""
        return 4 * row_count * self.rows_per_image * self.count

    def map_categories(self, raw: RawInputs) -> RawInputs:
        """Return the features unchanged: they have no categories."""
        return raw

    def to_device(self, raw: RawInputs, constants: Constants, device: torch.device) -> Tensor:
        """Return float32 [rows_per_image N, count] on the device: the means over views, then view after view.

        Batches are standardized when they are read, so that all folds share one tensor.
        """
        assert isinstance(raw, BackboneFeatures)
        arrays = [raw.mean_over_views(), *(raw.views if self.views > 1 else ())]
        return torch.from_numpy(np.concatenate(arrays)).to(device)

    def prepare_batch(self, rows: Tensor, constants: Constants) -> Tensor:
        """Standardize float32 [n, count] rows."""
        return (rows - constants["input.mean"]) / constants["input.spread"]

    def scale_into(self, rows: Tensor, constants: Constants, out: Tensor) -> None:
        """Standardize float32 [n, count] rows into `out`, of the same shape."""
        torch.sub(rows, constants["input.mean"], out=out)
        out.div_(constants["input.spread"])

    def gather(self, inputs: Tensor, indices: Tensor, constants: Constants, out: Tensor) -> None:
        """Standardize the rows at int64 [n] indices of the device tensor into `out`, float32 [n, count]."""
        torch.index_select(inputs, 0, indices, out=out)
        self.scale_into(out, constants, out)

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each constant by name."""
        return {"input.mean": (self.count,), "input.spread": (self.count,)}

    def fit(self, raw: RawInputs, rows: NDArray[np.int64]) -> Constants:
        """Compute each feature's mean and standard deviation over int64 [n] rows and all of their views."""
        assert isinstance(raw, BackboneFeatures)
        mean = np.mean([view[rows].astype(np.float64).mean(axis=0) for view in raw.views], axis=0)
        std = np.sqrt(np.mean([((view[rows] - mean) ** 2).mean(axis=0) for view in raw.views], axis=0))
        # A feature that is almost constant on training rows would dominate wherever it does vary.
        min_std = std.mean() / MIN_STD_DIVISOR or 1.0
        return {"input.mean": to_float32_tensor(mean), "input.spread": to_float32_tensor(np.maximum(std, min_std))}
