"""Which library multiplies matrices on a CPU: by what the processor is, never by a clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

LARGE = 2**19  # weights of one layer of one network, from which oneDNN is the faster one


@contextmanager
def fastest(weights: Tensor) -> Iterator[None]:
    """Inside, large float32 products run in oneDNN where MKL is at half its speed; in float32 all the same.

    weights: those of the largest layer, [slots, nodes, inputs].
    """
    if weights.device.type != "cpu" or weights[0].numel() < LARGE or not onednn_is_faster():
        yield
        return
    with _permitted():
        yield


@contextmanager
def _permitted() -> Iterator[None]:
    """oneDNN multiplies where it may use bfloat16: a permission, which an AMD processor makes no use of."""
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before


@cache
def onednn_is_faster() -> bool:
    """An AMD processor with AVX-512: there oneDNN stays in float32, which is looked at once, on one product.

    With Intel's AMX the same permission would mean bfloat16.
    """
    file = Path("/proc/cpuinfo")
    words = set(file.read_text().split()) if file.is_file() else set[str]()
    if "AuthenticAMD" not in words or "avx512f" not in words or any(word.startswith("amx") for word in words):
        return False
    left, right = (torch.randn(256, 256, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    exact = left.double() @ right.double()
    with _permitted():
        error = (left @ right - exact).abs().max() / exact.abs().max()
    return float(error) < 1e-5
