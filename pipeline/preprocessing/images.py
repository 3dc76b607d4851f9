"""Image inputs: pixels, standardized by channel."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from torch import Tensor

from pipeline.config.datasets import ImageSize
from pipeline.config.strict_types import STRICT_CONFIG
from pipeline.data.examples import Images, RawInputs
from pipeline.preprocessing.base import Constants, to_float32_tensor
from pipeline.preprocessing.streamed import from_numpy_readonly

HISTOGRAM_BATCH_SIZE = 64  # images; np.bincount casts each pixel to 64 bits


@dataclass(frozen=True, config=STRICT_CONFIG)
class ImageInputs:
    """RGB images of size x size; each channel is standardized by its mean and standard deviation over training rows."""

    kind: Literal["pictures"]
    size: ImageSize

    @property
    def feature_count(self) -> int:
        """Return the number of values per image: 3 x size x size."""
        return 3 * self.size * self.size

    def device_bytes(self, row_count: int) -> int:
        """Return the device memory of `row_count` images, in bytes."""
        return row_count * self.feature_count

    def map_categories(self, raw: RawInputs) -> RawInputs:
        """Return the images unchanged: they have no categories."""
        return raw

    def to_device(self, raw: RawInputs, constants: Constants, device: torch.device) -> Tensor:
        """Return uint8 [N, 3, H, W] on the device; on the CPU without a copy, memory-mapped if the cache holds them.

        Batches are standardized when they are read, so that all folds share one tensor.
        """
        assert isinstance(raw, Images)
        return from_numpy_readonly(raw.pixels).to(device)

    def prepare_batch(self, rows: Tensor, constants: Constants) -> Tensor:
        """Standardize uint8 [n, 3, H, W] images to float32 [n, 3 H W]."""
        out = torch.empty(len(rows), self.feature_count, device=rows.device)
        self.scale_into(rows, constants, out)
        return out

    def scale_into(self, rows: Tensor, constants: Constants, out: Tensor) -> None:
        """Standardize uint8 [n, 3, H, W] images into `out`, float32 [n, 3 H W]."""
        pixels = out.view(len(rows), 3, -1)
        torch.sub(rows.flatten(2), constants["input.mean"][:, None], out=pixels)
        pixels.div_(constants["input.spread"][:, None])

    def gather(self, inputs: Tensor, indices: Tensor, constants: Constants, out: Tensor) -> None:
        """Standardize the images at int64 [n] indices of uint8 [N, 3, H, W] into `out`, float32 [n, 3 H W]."""
        self.scale_into(inputs.index_select(0, indices), constants, out)

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each constant by name."""
        return {"input.mean": (3,), "input.spread": (3,)}

    def fit(self, raw: RawInputs, rows: NDArray[np.int64]) -> Constants:
        """Compute each channel's mean and standard deviation over int64 [n] rows, on the scale 0 to 255.

        Histograms give exact sums: variance = E[x^2] - E[x]^2, at least 1.
        """
        assert isinstance(raw, Images)
        counts = np.zeros((3, 256), dtype=np.int64)
        for start in range(0, len(rows), HISTOGRAM_BATCH_SIZE):
            pixels = raw.pixels[rows[start : start + HISTOGRAM_BATCH_SIZE]]
            counts += [np.bincount(pixels[:, channel].reshape(-1), minlength=256) for channel in range(3)]
        frequencies = counts / counts.sum(1, keepdims=True)
        mean = frequencies @ np.arange(256)
        std = np.sqrt(np.maximum(frequencies @ np.arange(256) ** 2 - mean**2, 1.0))
        return {"input.mean": to_float32_tensor(mean), "input.spread": to_float32_tensor(std)}
