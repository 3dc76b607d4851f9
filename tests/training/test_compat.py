"""Undocumented functions of torch: each is still what the engine takes it for. A failure says what to change."""

import pytest
import torch
from torch.nn import functional

from pipeline.training.engine import compat
from pipeline.training.engine.optimizers import ADAMW_BETAS, ADAMW_EPSILON

REPLACE = "torch changed {}: adapt engine/compat.py, or call {} there, which is slower for small networks"


def numbers(seed: int) -> torch.Tensor:
    return torch.randn(5, 16, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_fused_optimizer_kernels_are_those_of_torch_optim(name: str) -> None:
    parameter, gradient = numbers(0), numbers(1)
    expected = parameter.clone().requires_grad_()
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.SGD
    optimizer = kind([expected], lr=0.01, weight_decay=0.1, fused=True)
    first, second, count = torch.zeros_like(parameter), torch.zeros_like(parameter), torch.zeros(())
    for _ in range(3):
        expected.grad = gradient.clone()
        optimizer.step()
        count += 1
        if name == "adamw":
            moments = ([first], [second], [], [count])
            betas = {"beta1": ADAMW_BETAS[0], "beta2": ADAMW_BETAS[1], "eps": ADAMW_EPSILON}
            options = {"lr": 0.01, "weight_decay": 0.1, "amsgrad": False, "maximize": False, **betas}
            compat.fused_adamw_([parameter], [gradient], *moments, **options)
        else:
            options = {"lr": 0.01, "weight_decay": 0.1, "momentum": 0.0, "dampening": 0.0}
            flags = {"nesterov": False, "maximize": False, "is_first_step": False}
            compat.fused_sgd_([parameter], [gradient], [], **options, **flags)
    assert torch.equal(parameter, expected), REPLACE.format(f"_fused_{name}_", f"torch.optim.{kind.__name__}.step")


def test_foreach_functions_change_every_tensor_in_place() -> None:
    counts, averages = [torch.zeros(()), torch.ones(())], [numbers(0), numbers(1)]
    expected = [average.clone().lerp_(numbers(2), 0.02) for average in averages]
    compat.foreach_add_(counts, 1)
    compat.foreach_lerp_(averages, [numbers(2), numbers(2)], 0.02)
    assert [float(count) for count in counts] == [1, 2], REPLACE.format("_foreach_add_", "Tensor.add_ on each tensor")
    for average, value in zip(averages, expected, strict=True):
        assert torch.equal(average, value), REPLACE.format("_foreach_lerp_", "Tensor.lerp_ on each tensor")


@pytest.mark.parametrize("name", ["gelu", "tanh", "relu"])
def test_activations_write_into_a_buffer_what_autograd_computes(name: str) -> None:
    sums, delta = numbers(0).requires_grad_(), numbers(1)
    nodes = {"gelu": functional.gelu, "tanh": torch.tanh, "relu": torch.relu}[name](sums)
    nodes.backward(delta)
    out = torch.zeros_like(delta)
    with torch.no_grad():
        if name == "gelu":
            compat.gelu_out(sums, out=out)
            assert torch.equal(out, nodes), REPLACE.format("aten.gelu.out", "torch.nn.functional.gelu")
            compat.gelu_backward_out(delta, sums, grad_input=out)
        elif name == "tanh":
            compat.tanh_backward_out(delta, nodes, grad_input=out)
        else:
            compat.threshold_backward_out(delta, nodes, 0, grad_input=out)
    assert torch.equal(out, sums.grad), REPLACE.format(f"aten.{name} backward's grad_input", "the formula itself")


def test_switch_of_onednn_is_there_and_is_put_back() -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision
    with compat.onednn_matmul():
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16", REPLACE.format("fp32_precision", "MKL alone")
    assert torch.backends.mkldnn.matmul.fp32_precision == before
