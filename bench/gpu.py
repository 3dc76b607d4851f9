"""Benchmark the fused step on a GPU: `python -m bench.gpu [device=cuda] [case=A,B,C,D] [members=5,20,80,320,640]`.

For each shape and size of stack: microseconds a member and step, eager and as a CUDA graph, in float32, with TF32 and
in bfloat16, each with its score; whether the weights of a member depend on the others in its stack; and a plain
Lightning loop. It needs no network.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from bench.cases import CASES, STREAM_SEEDS, Case, prepare_case
from pipeline.config.metrics import METRICS
from pipeline.training.engine import FoldData, FusedDenseStack, Member, Precision, StreamSeeds, compat
from pipeline.training.trials import PredictionTask

STEPS = 200


def main(arguments: Sequence[str]) -> int:
    """Print one table; return 1 if the device is not available."""
    given = {"device": "cuda", "case": "A,B,C,D", "members": "5,20,80,320,640"}
    given |= dict(argument.split("=", 1) for argument in arguments)
    if given["device"] == "cuda" and not torch.cuda.is_available():
        print(
            "bench.gpu: needs a GPU that torch can use; found none; use device=cpu to try the script", file=sys.stderr
        )
        return 1
    device = torch.device(given["device"])
    table = Table("case", "members", "products", "eager", "graph", "plain", "score", "same alone")
    for name in given["case"].split(","):
        task, folds = prepare_case(CASES[name])
        folds = [_to_device(data, device) for data in folds]
        plain = _time_lightning(CASES[name], task, folds[0])
        for count in map(int, given["members"].split(",")):
            for products in ("fp32", "tf32", "bf16"):
                table.add_row(name, str(count), products, *_measure(CASES[name], task, folds, count, products, plain))
    Console(width=110).print(table)
    print("eager, graph, plain: microseconds a member and step")
    return 0


def _to_device(data: FoldData, device: torch.device) -> FoldData:
    def move(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: each.to(device) for name, each in value.items()}
        return value.to(device) if isinstance(value, torch.Tensor) else value

    moved = {name: move(value) for name, value in vars(data).items() if name != "target_constants"}
    return replace(data, **moved)


def _members(case: Case, folds: Sequence[FoldData], count: int) -> list[Member]:
    trials = -(-count // len(folds))
    return [
        Member(case.model, case.training, StreamSeeds(STREAM_SEEDS.study, trial), data)
        for trial in range(trials)
        for data in folds
    ][:count]


def _measure(
    case: Case, task: PredictionTask, folds: Sequence[FoldData], count: int, products: str, plain: float
) -> tuple[str, ...]:
    """Return a row of the table: eager, graph, plain, score, and whether the first member is the same alone."""
    torch.backends.cuda.matmul.allow_tf32 = products == "tf32"
    precision: Precision = "bf16" if products == "bf16" else "fp32"
    members = _members(case, folds, count)
    try:
        whole = FusedDenseStack(members, task.inputs, task.head, precision)
        alone = FusedDenseStack(members[:1], task.inputs, task.head, precision)
        for epoch in range(2):
            whole.train_epoch(epoch)
            alone.train_epoch(epoch)
        mine, theirs = alone.state_dict(0), whole.state_dict(0)
        same = all(torch.equal(mine[name], theirs[name]) for name in mine)
        data = members[0].data
        truth = task.targets[data.validation.cpu()]
        score = task.head.score(METRICS["accuracy"], whole.validate()[0], truth, data.target_constants)
        eager = _time(_step(whole), data.train.device) / count
        graph = _time(_capture(_step(whole)), data.train.device) / count if data.train.is_cuda else float("nan")
    except torch.OutOfMemoryError:
        return "out of memory", "", "", "", ""
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False
    return f"{eager:.2f}", f"{graph:.2f}", f"{plain:.0f}", f"{score:.4f}", str(same)


def _step(stack: FusedDenseStack) -> Callable[[], None]:
    """Return a function that trains one minibatch of every member on the device: gather, forward, backward, update."""
    block = max(stack.blocks, key=lambda each: (each.end_slot, each.steps))
    first, last, size = stack._block_key(block)
    step = stack.forward_backwards[first, last, size]
    optimizer_steps = stack.optimizer_steps[stack.blocks.index(block)]
    step_counts = list(stack.step_counts.values())  # this block has every slot
    features = stack.inputs.feature_count
    height = step.preactivations[0].shape[1]
    buffer = torch.zeros(last - first, height, features, device=stack.device)
    rows = [member.data.train[:size].clone() for member in stack.slot_members]

    def run() -> None:
        for slot in range(block.first_slot, block.end_slot):
            data = stack.slot_members[slot].data
            stack.inputs.gather(data.inputs, rows[slot], data.input_constants, buffer[slot - first, :size])
        step.run(buffer, stack.targets[first:last, :size], [])
        compat.foreach_add_(step_counts, 1)
        for optimizer_step in optimizer_steps:
            optimizer_step.run()

    return torch.no_grad()(run)


def _capture(step: Callable[[], None]) -> Callable[[], None]:
    """Capture the step as a CUDA graph, which launches all of its kernels at once, and return its replay."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def _time(step: Callable[[], None], device: torch.device) -> float:
    """Return the microseconds of a call, after a warm-up."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    steps = STEPS if device.type == "cuda" else 5
    for _ in range(3):
        step()
    wait()
    begin = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return 1e6 * (time.perf_counter() - begin) / steps


def _time_lightning(case: Case, task: PredictionTask, data: FoldData) -> float:
    """Return the microseconds of a step in Lightning's loop over a DataLoader, for one fold."""
    import pytorch_lightning as lightning
    from torch.utils.data import DataLoader, TensorDataset

    from bench.sides import Module, build_network

    epochs = 4
    training = replace(case.training, epochs=epochs)
    cpu = _to_device(data, torch.device("cpu"))
    inputs = task.inputs.prepare_batch(cpu.inputs[cpu.train], cpu.input_constants)
    module = Module(task, cpu, build_network(task, cpu, case.model, STREAM_SEEDS), training, tuned=False)
    loader = DataLoader(TensorDataset(inputs, cpu.targets[cpu.train]), training.batch_size, shuffle=True)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="gpu" if data.train.is_cuda else "cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    begin = time.perf_counter()
    trainer.fit(module, loader)
    return 1e6 * (time.perf_counter() - begin) / (epochs * len(loader))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
