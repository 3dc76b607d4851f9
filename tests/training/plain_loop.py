"""The loop that torch's tutorials show, on the rows of a member: the reference of the stacks."""

from collections.abc import Callable

import torch
from torch import nn

from pipeline.runtime import seeds
from pipeline.study.problem import Problem
from pipeline.training.engine import Member


def build_plain(
    asked: Problem, member: Member, first: dict[str, torch.Tensor]
) -> tuple[nn.Sequential, torch.optim.Optimizer]:
    """The network with these weights of a member with one hidden layer of relu, and its optimizer."""
    (nodes,) = member.model.hidden
    features, outputs = asked.task.inputs.feature_count, asked.task.head.output_count
    plain = nn.Sequential(nn.Linear(features, nodes), nn.ReLU(), nn.Linear(nodes, outputs))
    plain.load_state_dict(dict(zip(plain.state_dict(), first.values(), strict=True)))
    kind = torch.optim.AdamW if member.training.optimizer == "adamw" else torch.optim.SGD
    training = member.training
    return plain, kind(plain.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)


def train_plain(
    asked: Problem,
    member: Member,
    plain: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    on_gradient: Callable[[], object] = lambda: None,
    on_step: Callable[[], object] = lambda: None,
) -> None:
    """Train the epochs of a member with classes as targets."""
    data = member.data
    for epoch in range(member.training.epochs):
        order = torch.randperm(len(data.train), generator=seeds.make_generator(1, data.fold, epoch, "order"))
        for rows in data.train[order].split(member.training.batch_size):
            optimizer.zero_grad()
            outputs = plain(asked.task.inputs.prepare_batch(data.inputs[rows], data.input_constants))
            nn.functional.cross_entropy(outputs, data.targets[rows]).backward()
            on_gradient()
            optimizer.step()
            on_step()
