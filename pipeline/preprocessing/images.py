"""Pictures as a network reads them: their pixels, each channel scaled."""

from __future__ import annotations

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

HISTOGRAM_BATCH_SIZE = 64  # pictures, where they are counted: 64 bits a pixel


@dataclass(frozen=True, config=STRICT_CONFIG)
class ImageInputs:
    """RGB pictures of size x size; each channel is shifted and scaled by its mean and spread over the training rows."""

    kind: Literal["pictures"]
    size: ImageSize

    @property
    def feature_count(self) -> int:
        """How many numbers a picture is: 3 x size x size."""
        return 3 * self.size * self.size

    def device_bytes(self, row_count: int) -> int:
        """How large so many pictures are on the device."""
        return row_count * self.feature_count

    def map_categories(self, raw: RawInputs) -> RawInputs:
        """Pictures, as they are."""
        return raw

    def to_device(self, raw: RawInputs, constants: Constants, device: torch.device) -> Tensor:
        """uint8 [N, 3, H, W] on the device; scaled only when a batch is taken, so that all folds share one copy.

        On the CPU they stay where they lie, in memory or in a file of the cache.
        """
        assert isinstance(raw, Images)
        return from_numpy_readonly(raw.pixels).to(device)

    def prepare_batch(self, rows: Tensor, constants: Constants) -> Tensor:
        """uint8 [n, 3, H, W] to float32 [n, 3 H W]."""
        out = torch.empty(len(rows), self.feature_count, device=rows.device)
        self.scale_into(rows, constants, out)
        return out

    def scale_into(self, rows: Tensor, constants: Constants, out: Tensor) -> None:
        """Writes uint8 [n, 3, H, W] as float32 [n, 3 H W]."""
        mean, std = constants["input.mean"], constants["input.spread"]
        pixels = out.view(len(rows), 3, -1)
        torch.sub(rows.flatten(2), mean[:, None], out=pixels)
        pixels.div_(std[:, None])

    def gather(self, inputs: Tensor, indices: Tensor, constants: Constants, out: Tensor) -> None:
        """Writes some of the resident pictures as float32 [n, 3 H W]."""
        self.scale_into(inputs.index_select(0, indices), constants, out)

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each constant."""
        return {"input.mean": (3,), "input.spread": (3,)}

    def fit(self, raw: RawInputs, rows: NDArray[np.int64]) -> Constants:
        """Mean and standard deviation of each channel over the given rows, on the scale 0 to 255."""
        assert isinstance(raw, Images)
        counts = np.zeros((3, 256), dtype=np.int64)
        for start in range(0, len(rows), HISTOGRAM_BATCH_SIZE):
            pixels = raw.pixels[rows[start : start + HISTOGRAM_BATCH_SIZE]]
            counts += [np.bincount(pixels[:, channel].reshape(-1), minlength=256) for channel in range(3)]
        frequencies, pixel_values = counts / counts.sum(1, keepdims=True), np.arange(256)
        mean = frequencies @ pixel_values
        std = np.sqrt(np.maximum(frequencies @ pixel_values**2 - mean**2, 1.0))
        return {"input.mean": to_float32_tensor(mean), "input.spread": to_float32_tensor(std)}
