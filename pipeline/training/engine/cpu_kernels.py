"""Which library multiplies matrices on a CPU: by what the processor is, never by a clock."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from pipeline.training.engine.compat import onednn_matmul

ONEDNN_MIN_WEIGHTS, ONEDNN_MIN_WEIGHTS_ZEN_5 = (
    2**19,
    2**15,
)  # weights of one layer of one network, from which oneDNN is the faster one
ZEN_5_CPU_FAMILY = (
    26  # the family of AMD's processors whose units are as wide as AVX-512; before, they were half as wide
)
MAX_SINGLE_THREADED_STEP_SIZE = (
    2**19
)  # weights of one network times rows of a minibatch, up to which a second thread gains nothing
MAX_SINGLE_THREADED_MULTIPLICATIONS = 2**25  # multiplications of a step of convolutions, likewise


@contextmanager
def best_cpu_kernels(weights: Sequence[Tensor], batch_size: int) -> Iterator[None]:
    """Inside, what a CPU multiplies with is what suits these networks; in float32 all the same.

    weights: those of each layer, [slots, nodes, inputs]. Small networks have one thread: more of them wait for one
    another, and on a busy machine take sixty times as long. Large products run in oneDNN where MKL is the slower one.
    Both go by the shape of one network, so that no digit depends on its company.
    """
    layer_sizes = [layer[0].numel() for layer in weights]
    if weights[0].device.type != "cpu":
        yield
    elif sum(layer_sizes) * batch_size <= MAX_SINGLE_THREADED_STEP_SIZE:
        with single_threaded():
            yield
    elif is_onednn_faster() and max(layer_sizes) >= onednn_threshold():
        with onednn_matmul():
            yield
    else:
        yield


@contextmanager
def single_threaded() -> Iterator[None]:
    """Inside, nothing is shared out."""
    previous = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(previous)


@cache
def is_onednn_faster() -> bool:
    """An AMD processor with AVX-512: there oneDNN stays in float32, which is looked at once, on one product.

    With Intel's AMX the same permission would mean bfloat16.
    """
    cpuinfo_tokens = set(_read_cpuinfo().split())
    if (
        "AuthenticAMD" not in cpuinfo_tokens
        or "avx512f" not in cpuinfo_tokens
        or any(word.startswith("amx") for word in cpuinfo_tokens)
    ):
        return False
    left, right = (torch.randn(256, 256, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    exact = left.double() @ right.double()
    with onednn_matmul():
        error = (left @ right - exact).abs().max() / exact.abs().max()
    return float(error) < 1e-5


@cache
def onednn_threshold() -> int:
    """How many weights of a layer oneDNN is taken from on, where it is the faster one at all."""
    family = re.search(r"^cpu family\s*: (\d+)$", _read_cpuinfo(), re.MULTILINE)
    return ONEDNN_MIN_WEIGHTS_ZEN_5 if family is not None and int(family[1]) >= ZEN_5_CPU_FAMILY else ONEDNN_MIN_WEIGHTS


def _read_cpuinfo() -> str:
    """What Linux says of the processor; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.is_file() else ""
