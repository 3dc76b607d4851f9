"""Which library multiplies matrices on a CPU: by what the processor is, never by a clock."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

LARGE, LARGE_OF_ZEN_5 = 2**19, 2**15  # weights of one layer of one network, from which oneDNN is the faster one
ZEN_5 = 26  # the family of AMD's processors whose units are as wide as AVX-512; before, they were half as wide
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
    elif onednn_is_faster() and max(sizes) >= large():
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
    words = set(_processor().split())
    if "AuthenticAMD" not in words or "avx512f" not in words or any(word.startswith("amx") for word in words):
        return False
    left, right = (torch.randn(256, 256, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    exact = left.double() @ right.double()
    with onednn():
        error = (left @ right - exact).abs().max() / exact.abs().max()
    return float(error) < 1e-5


@cache
def large() -> int:
    """How many weights of a layer oneDNN is taken from on, where it is the faster one at all."""
    family = re.search(r"^cpu family\s*: (\d+)$", _processor(), re.MULTILINE)
    return LARGE_OF_ZEN_5 if family is not None and int(family[1]) >= ZEN_5 else LARGE


def _processor() -> str:
    """What Linux says of the processor; nothing elsewhere."""
    file = Path("/proc/cpuinfo")
    return file.read_text() if file.is_file() else ""
