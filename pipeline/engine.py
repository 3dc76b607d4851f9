"""The training of one trial's networks, a member a fold: an epoch, a validation, the weights. No Lightning here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline import seeds
from pipeline.augment import Augmentation
from pipeline.config.schema import Model, Training
from pipeline.heads import Head
from pipeline.inputs import Constants, Inputs
from pipeline.network import Dense

State = dict[str, Tensor]


@dataclass(frozen=True)
class Member:
    """One network to be trained: its rows, and what was learned from its training rows alone.

    inputs: [N, ...] on the device, as `Inputs.resident` gives it; targets: [N, ...] on the device, encoded by the head.
    train, validation: int64 row numbers on the device; a refit validates nothing.
    """

    fold: int
    train: Tensor
    validation: Tensor
    inputs: Tensor
    input_constants: Constants
    targets: Tensor
    target_constants: Constants
    output_bias: float | None


@dataclass(frozen=True)
class Seeds:
    """study: draws the order of rows, equal for all trials; trial: draws weights, dropout and augmentation."""

    study: int
    trial: int


class Stack:
    """The members of one trial, advancing epoch by epoch together; no number of one depends on another."""

    def __init__(
        self, members: Sequence[Member], model: Model, training: Training, inputs: Inputs, head: Head, names: Seeds
    ) -> None:
        self.members = list(members)
        self.training = training
        self.inputs, self.head, self.names = inputs, head, names
        self.device = members[0].inputs.device
        self.networks = [self._network(member, model) for member in members]
        self.optimizers = [self._optimizer(network) for network in self.networks]
        self.augmentation = None
        if training.flip or training.shift:
            self.augmentation = Augmentation(members[0].inputs.shape[-1], training.flip, training.shift, self.device)

    def _network(self, member: Member, model: Model) -> Dense:
        network = Dense(self.inputs.features, model, self.head.outputs)
        network.initialise(seeds.generator(self.names.trial, member.fold, "weights"), member.output_bias)
        return network.to(self.device)

    def _optimizer(self, network: Dense) -> torch.optim.Optimizer:
        rate, decay = self.training.learning_rate, self.training.weight_decay
        if self.training.optimizer == "sgd":
            return torch.optim.SGD(network.parameters(), lr=rate, weight_decay=decay, fused=True)
        return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay, fused=True)

    def train_epoch(self, epoch: int) -> Tensor:
        """Every member sees each of its training rows once; float [members], the mean loss of each member's batches."""
        return torch.stack([self._train_member(index, epoch) for index in range(len(self.members))])

    def _train_member(self, index: int, epoch: int) -> Tensor:
        member, network, optimizer = self.members[index], self.networks[index], self.optimizers[index]
        noise = seeds.generator(self.names.trial, member.fold, epoch, "noise", device=self.device)
        total, steps = torch.zeros((), device=self.device), 0
        for rows in self._batches(member, epoch):
            outputs = network(self._batch(member, rows, noise), noise)
            loss = self.head.loss(outputs, member.targets[rows])
            optimizer.zero_grad(set_to_none=False)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total, steps = total + loss.detach(), steps + 1
        return total / steps

    def _batches(self, member: Member, epoch: int) -> Iterator[Tensor]:
        order = torch.randperm(
            len(member.train), generator=seeds.generator(self.names.study, member.fold, epoch, "order")
        )
        return iter(torch.split(member.train[order.to(self.device)], self.training.batch_size))

    def _batch(self, member: Member, rows: Tensor, noise: torch.Generator) -> Tensor:
        raw = member.inputs[rows]
        if self.augmentation is not None:
            raw = self.augmentation(raw, noise)
        return self.inputs.batch(raw, member.input_constants)

    @torch.no_grad()
    def validate(self) -> list[Tensor]:
        """For each member its answers on its validation rows, float [V, columns], on the CPU."""
        return [self._answers(index) for index in range(len(self.members))]

    def _answers(self, index: int) -> Tensor:
        member, network = self.members[index], self.networks[index]
        chunks = torch.split(member.validation, 1024)
        outputs = [network(self.inputs.batch(member.inputs[rows], member.input_constants)) for rows in chunks]
        return self.head.answer(torch.cat(outputs).cpu(), member.target_constants)

    def state_dict(self, index: int) -> State:
        """A copy of a member's weights, on the CPU."""
        return {name: weights.detach().cpu().clone() for name, weights in self.networks[index].state_dict().items()}
