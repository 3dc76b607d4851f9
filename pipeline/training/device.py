"""The device and precision of training, and what the last digits of a result depend on."""

from dataclasses import dataclass

import torch

from pipeline.config.schema import ComputeConfig
from pipeline.runtime.errors import UserError
from pipeline.training.engine import Precision
from pipeline.training.engine.batching_rule import StackLimits
from pipeline.training.engine.cpu_kernels import is_onednn_faster, onednn_threshold


@dataclass(frozen=True)
class Device:
    """Device and precision of training, resolved once a search from the machine and `compute`.

    max_trials_per_stack: None leaves the number to `batching_rule`.
    """

    torch_device: torch.device
    precision: Precision
    max_trials_per_stack: int | None = None

    @property
    def is_gpu(self) -> bool:
        return self.torch_device.type == "cuda"

    @property
    def stack_limits(self) -> StackLimits:
        """Return the limits of a stack; memory that torch caches counts as free."""
        if not self.is_gpu:
            return StackLimits(None, self.max_trials_per_stack)
        cached_bytes = torch.cuda.memory_reserved(self.torch_device) - torch.cuda.memory_allocated(self.torch_device)
        return StackLimits(torch.cuda.mem_get_info(self.torch_device)[0] + cached_bytes, self.max_trials_per_stack)

    @property
    def numerics_info(self) -> dict[str, str]:
        """Return what the last digits of a result depend on, by name."""
        matmul_library = "torch's own"
        if not self.is_gpu and is_onednn_faster():
            matmul_library = f"oneDNN from {onednn_threshold():,} weights of a layer on"
        threads = str(torch.get_num_threads())
        return {"device": self.name, "products": matmul_library, "threads": threads, "torch": torch.__version__}

    @property
    def name(self) -> str:
        return torch.cuda.get_device_name(self.torch_device) if self.is_gpu else "cpu"


class NoDeviceError(UserError):
    """The device of `compute` is not available."""


def resolve_device(compute: ComputeConfig) -> Device:
    """Return the device and precision of `compute` on this machine; raises NoDeviceError if its GPU is missing."""
    has_gpu = torch.cuda.is_available()
    if compute.device == "gpu" and not has_gpu:
        raise NoDeviceError("compute=gpu: needs a GPU that torch can use; found none; use compute=auto or compute=cpu")
    use_gpu = has_gpu and compute.device != "cpu"
    precision: Precision = "bf16" if use_gpu and torch.cuda.is_bf16_supported() else "fp32"
    if compute.precision != "auto":
        precision = compute.precision
    max_trials_per_stack = None if compute.stack == "auto" else compute.stack
    return Device(torch.device("cuda", 0) if use_gpu else torch.device("cpu"), precision, max_trials_per_stack)
