"""Undocumented functions of torch that the engine calls: an upgrade of torch that breaks them breaks this file alone.

`tests/training/test_compat.py` compares each with its documented counterpart and says what to do where it fails.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# The optimizers' kernels without the bookkeeping of torch.optim, which takes longer than a small network's step.
fused_adamw_ = torch._fused_adamw_
fused_sgd_ = torch._fused_sgd_

# One call for a whole list of tensors: on a GPU one kernel launch instead of one a tensor.
foreach_add_ = torch._foreach_add_
foreach_lerp_ = torch._foreach_lerp_
foreach_copy_ = torch._foreach_copy_

# The overloads that write into a given buffer: torch.nn.functional and autograd allocate one a call.
gelu_out = torch.ops.aten.gelu.out
gelu_backward_out = torch.ops.aten.gelu_backward.grad_input
tanh_backward_out = torch.ops.aten.tanh_backward.grad_input
threshold_backward_out = torch.ops.aten.threshold_backward.grad_input


@contextmanager
def onednn_matmul() -> Iterator[None]:
    """Let oneDNN instead of MKL multiply float32 matrices inside the block.

    torch offers oneDNN only together with the permission to use bfloat16, which AMD processors ignore: see
    `cpu_kernels.is_onednn_faster`.
    """
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    previous = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = previous
