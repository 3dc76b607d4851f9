"""A pretrained backbone's outputs as a network reads them: each of them scaled, several views of a picture."""

from __future__ import annotations

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

MIN_STD_DIVISOR = 100  # times less than the others on average


@dataclass(frozen=True, config=STRICT_CONFIG)
class FeatureInputs:
    """Outputs of a frozen backbone: each is shifted and scaled by its mean and spread over the training rows.

    backbone, weights_sha256: what computed them; size: of pictures of size x size, in so many views each.
    count: how many there are of a picture.
    """

    kind: Literal["features"]
    backbone: PretrainedName
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: ImageSize
    views: Annotated[StrictInt, Field(ge=1, le=64)]
    count: Annotated[StrictInt, Field(ge=1, le=65_536)]

    @property
    def feature_count(self) -> int:
        """How many numbers a picture is."""
        return self.count

    @property
    def rows_per_image(self) -> int:
        """How many rows a picture has on the device: the mean over its views, and with several each view's own."""
        return 1 if self.views == 1 else 1 + self.views

    def device_bytes(self, row_count: int) -> int:
        """How large so many pictures are on the device."""
        return 4 * row_count * self.rows_per_image * self.count

    def map_categories(self, raw: RawInputs) -> RawInputs:
        """Features, as they are."""
        return raw

    def to_device(self, raw: RawInputs, constants: Constants, device: torch.device) -> Tensor:
        """float32 [copies N, count] on the device: first each picture's mean over its views, then view after view.

        Scaled only when a batch is taken, so that all folds share one copy.
        """
        assert isinstance(raw, BackboneFeatures)
        arrays = [raw.mean_over_views(), *(raw.views if self.views > 1 else ())]
        return torch.from_numpy(np.concatenate(arrays)).to(device)

    def prepare_batch(self, rows: Tensor, constants: Constants) -> Tensor:
        """float32 [n, count], scaled."""
        return (rows - constants["input.mean"]) / constants["input.spread"]

    def scale_into(self, rows: Tensor, constants: Constants, out: Tensor) -> None:
        """Writes float32 [n, count], scaled."""
        torch.sub(rows, constants["input.mean"], out=out)
        out.div_(constants["input.spread"])

    def gather(self, inputs: Tensor, indices: Tensor, constants: Constants, out: Tensor) -> None:
        """Writes some of the resident rows, scaled."""
        torch.index_select(inputs, 0, indices, out=out)
        self.scale_into(out, constants, out)

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each constant."""
        return {"input.mean": (self.count,), "input.spread": (self.count,)}

    def fit(self, raw: RawInputs, rows: NDArray[np.int64]) -> Constants:
        """Mean and standard deviation of each output over the given rows, in all of their views."""
        assert isinstance(raw, BackboneFeatures)
        mean = np.mean([view[rows].astype(np.float64).mean(axis=0) for view in raw.views], axis=0)
        std = np.sqrt(np.mean([((view[rows] - mean) ** 2).mean(axis=0) for view in raw.views], axis=0))
        min_std = std.mean() / MIN_STD_DIVISOR or 1.0  # what hardly ever moved would be blown up where it does
        return {"input.mean": to_float32_tensor(mean), "input.spread": to_float32_tensor(np.maximum(std, min_std))}
