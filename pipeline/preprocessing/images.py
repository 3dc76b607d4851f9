"""Pictures as a network reads them: their pixels, each channel scaled."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from torch import Tensor

from pipeline.config.datasets import PictureSide
from pipeline.config.strict_types import STRICT
from pipeline.data.examples import Pictures, Raw
from pipeline.preprocessing.base import Constants, float32
from pipeline.preprocessing.streamed import shared

AT_ONCE = 64  # pictures, where they are counted: 64 bits a pixel


@dataclass(frozen=True, config=STRICT)
class PictureInputs:
    """RGB pictures of size x size; each channel is shifted and scaled by its mean and spread over the training rows."""

    kind: Literal["pictures"]
    size: PictureSide

    @property
    def features(self) -> int:
        """How many numbers a picture is: 3 x size x size."""
        return 3 * self.size * self.size

    def bytes(self, rows: int) -> int:
        """How large so many pictures are on the device."""
        return rows * self.features

    def recode(self, raw: Raw) -> Raw:
        """Pictures, as they are."""
        return raw

    def resident(self, raw: Raw, constants: Constants, device: torch.device) -> Tensor:
        """uint8 [N, 3, H, W] on the device; scaled only when a batch is taken, so that all folds share one copy.

        On the CPU they stay where they lie, in memory or in a file of the cache.
        """
        assert isinstance(raw, Pictures)
        return shared(raw.pixels).to(device)

    def batch(self, rows: Tensor, constants: Constants) -> Tensor:
        """uint8 [n, 3, H, W] to float32 [n, 3 H W]."""
        out = torch.empty(len(rows), self.features, device=rows.device)
        self.scale(rows, constants, out)
        return out

    def scale(self, rows: Tensor, constants: Constants, out: Tensor) -> None:
        """Writes uint8 [n, 3, H, W] as float32 [n, 3 H W]."""
        mean, spread = constants["input.mean"], constants["input.spread"]
        pixels = out.view(len(rows), 3, -1)
        torch.sub(rows.flatten(2), mean[:, None], out=pixels)
        pixels.div_(spread[:, None])

    def gather(self, resident: Tensor, rows: Tensor, constants: Constants, out: Tensor) -> None:
        """Writes some of the resident pictures as float32 [n, 3 H W]."""
        self.scale(resident.index_select(0, rows), constants, out)

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each constant."""
        return {"input.mean": (3,), "input.spread": (3,)}

    def learn(self, raw: Raw, rows: NDArray[np.int64]) -> Constants:
        """Mean and standard deviation of each channel over the given rows, on the scale 0 to 255."""
        assert isinstance(raw, Pictures)
        counts = np.zeros((3, 256), dtype=np.int64)
        for begin in range(0, len(rows), AT_ONCE):
            pixels = raw.pixels[rows[begin : begin + AT_ONCE]]
            counts += [np.bincount(pixels[:, channel].reshape(-1), minlength=256) for channel in range(3)]
        shares, levels = counts / counts.sum(1, keepdims=True), np.arange(256)
        mean = shares @ levels
        spread = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 1.0))
        return {"input.mean": float32(mean), "input.spread": float32(spread)}
