"""The matrix library and the number of threads on a CPU, chosen by the processor and the shapes, never by a timing."""

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from pipeline.training.engine.compat import onednn_matmul

# Weights of a layer from which oneDNN is faster than MKL. Family 25: 105 against 86 GFLOP/s a core. Family 26: a layer
# of 1,280 x 128 with 64 rows takes 58 us in oneDNN and 123 in MKL (bench/LOG.md).
ONEDNN_MIN_WEIGHTS = 2**19
ONEDNN_MIN_WEIGHTS_ZEN_5 = 2**15
ZEN_5_CPU_FAMILY = 26  # AMD's first family with arithmetic units as wide as AVX-512; before, half as wide

# Weights of a network times batch size, up to which a second thread gains nothing on a quiet machine; beside one other
# process an epoch of the smallest case takes 63 ms with two threads and 1.0 with one (bench/LOG.md).
MAX_SINGLE_THREADED_STEP_SIZE = 2**19
MAX_SINGLE_THREADED_MULTIPLICATIONS = 2**25  # the same for the multiplications of a step of convolutions


def best_cpu_kernels(weights: Sequence[Tensor], batch_size: int) -> AbstractContextManager[None]:
    """Return a context with the fastest matrix library and number of threads for a stack; products stay in float32.

    weights: [slots, nodes, inputs] for each layer. The choice depends on the shape of one network, not on the number
    of slots: a member has the same digits alone and in a stack.
    """
    layer_sizes = [layer[0].numel() for layer in weights]
    if weights[0].device.type != "cpu":
        return nullcontext()
    if sum(layer_sizes) * batch_size <= MAX_SINGLE_THREADED_STEP_SIZE:
        return single_threaded()
    if is_onednn_faster() and max(layer_sizes) >= onednn_threshold():
        return onednn_matmul()
    return nullcontext()


@contextmanager
def single_threaded() -> Iterator[None]:
    """Run torch with one thread inside the block."""
    previous = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(previous)


@cache
def is_onednn_faster() -> bool:
    """Return whether oneDNN may replace MKL: on an AMD processor with AVX-512, after a check of one product.

    With Intel's AMX the switch of `compat.onednn_matmul` would mean products in bfloat16.
    """
    cpuinfo_tokens = set(_read_cpuinfo().split())
    has_amx = any(token.startswith("amx") for token in cpuinfo_tokens)
    if has_amx or not {"AuthenticAMD", "avx512f"} <= cpuinfo_tokens:
        return False
    # In bfloat16, with 8 bits of precision, the error would be 2e-3 (measured).
    left, right = (torch.randn(256, 256, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    exact = left.double() @ right.double()
    with onednn_matmul():
        error = (left @ right - exact).abs().max() / exact.abs().max()
    return float(error) < 1e-5


@cache
def onednn_threshold() -> int:
    """Return the smallest number of weights of a layer for which oneDNN replaces MKL."""
    family = re.search(r"^cpu family\s*: (\d+)$", _read_cpuinfo(), re.MULTILINE)
    return ONEDNN_MIN_WEIGHTS_ZEN_5 if family is not None and int(family[1]) >= ZEN_5_CPU_FAMILY else ONEDNN_MIN_WEIGHTS


def _read_cpuinfo() -> str:
    """Return /proc/cpuinfo, or an empty text on systems without it."""
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.is_file() else ""
