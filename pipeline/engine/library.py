"""Which library multiplies matrices on a CPU: by what the processor is, never by a clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

LARGE = 2**19  # weights of one layer of one network, from which oneDNN is the faster one
SMALL = 2**19  # weights of one network times rows of a minibatch, up to which a second thread gains nothing
SMALL_CONVOLUTIONS = 2**25  # multiplications of a step of convolutions, likewise


@contextmanager
def fastest(weights: Sequence[Tensor], batch_size: int) -> Iterator[None]:
    """Inside, what a CPU multiplies with is what suits these networks; in float32 all the same.

    weights: those of each layer, [slots, nodes, inputs]. Small networks have one thread: more of them wait for one
    another, and on a busy machine take sixty times as long. Large products run in oneDNN where MKL is the slower one.
    Both go by the shape of one network, so that no digit depends on its company.
    """
    sizes = [layer[0].numel() for layer in weights]
    if weights[0].device.type != "cpu":
        yield
    elif sum(sizes) * batch_size <= SMALL:
        with one_thread():
            yield
    elif sizes[0] >= LARGE and onednn_is_faster():
        with onednn():
            yield
    else:
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, nothing is shared out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def onednn() -> Iterator[None]:
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
    with onednn():
        error = (left @ right - exact).abs().max() / exact.abs().max()
    return float(error) < 1e-5
