"""Where networks are trained: the processor or the GPU, and what a result's last digits may depend on there."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.config.schema import Compute
from pipeline.training.engine import Precision
from pipeline.training.engine.batching_rule import Room
from pipeline.training.engine.cpu_kernels import large, onednn_is_faster


@dataclass(frozen=True)
class Device:
    """Where networks are trained, and how exactly: resolved once a search, a function of machine and configuration.

    stack: at most so many trials side by side, None for all that pay.
    """

    torch: torch.device
    precision: Precision
    stack: int | None = None

    @property
    def on_gpu(self) -> bool:
        return self.torch.type == "cuda"

    @property
    def room(self) -> Room:
        """For trials side by side; what torch has set aside for later is free as well."""
        if not self.on_gpu:
            return Room(None, self.stack)
        aside = torch.cuda.memory_reserved(self.torch) - torch.cuda.memory_allocated(self.torch)
        return Room(torch.cuda.mem_get_info(self.torch)[0] + aside, self.stack)

    @property
    def facts(self) -> dict[str, str]:
        """What the last digits of a result may depend on."""
        own = self.on_gpu or not onednn_is_faster()
        products = "torch's own" if own else f"oneDNN from {large():,} weights of a layer on"
        threads = str(torch.get_num_threads())
        return {"device": self.name, "products": products, "threads": threads, "torch": torch.__version__}

    @property
    def name(self) -> str:
        return torch.cuda.get_device_name(self.torch) if self.on_gpu else "cpu"


class NoDeviceError(Exception):
    """The device that was asked for is not there."""


def resolve(compute: Compute) -> Device:
    """The device and precision that `compute` means on this machine; raises NoDeviceError without the GPU asked for."""
    has_gpu = torch.cuda.is_available()
    if compute.device == "gpu" and not has_gpu:
        raise NoDeviceError("compute=gpu: needs a GPU that torch can use; found none; use compute=auto or compute=cpu")
    on_gpu = has_gpu and compute.device != "cpu"
    precision: Precision = "bf16" if on_gpu and torch.cuda.is_bf16_supported() else "fp32"
    if compute.precision != "auto":
        precision = compute.precision
    stack = None if compute.stack == "auto" else compute.stack
    return Device(torch.device("cuda", 0) if on_gpu else torch.device("cpu"), precision, stack)
