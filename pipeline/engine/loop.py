"""One member after the other with autograd: for any precision, and what the fused step is tested against."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline import seeds
from pipeline.augment import augmentation_of
from pipeline.config.schema import Model, Training
from pipeline.engine.draws import draw
from pipeline.engine.parts import Member, Seeds, State
from pipeline.heads import Head
from pipeline.inputs import Inputs
from pipeline.network import Dense


class LoopStack:
    """A network and an optimiser of the library for each member."""

    def __init__(
        self, members: Sequence[Member], model: Model, training: Training, inputs: Inputs, head: Head, names: Seeds
    ) -> None:
        self.members = list(members)
        self.model, self.training = model, training
        self.inputs, self.head, self.names = inputs, head, names
        self.device = members[0].inputs.device
        self.networks = [self._network(member) for member in members]
        self.optimizers = [self._optimizer(network) for network in self.networks]
        self.augmentation = augmentation_of(training, members[0].inputs)

    def _network(self, member: Member) -> Dense:
        network = Dense(self.inputs.features, self.model, self.head.outputs)
        network.initialise(seeds.generator(self.names.trial, member.fold, "weights"), member.output_bias)
        return network.to(self.device)

    def _optimizer(self, network: Dense) -> torch.optim.Optimizer:
        rate, decay = self.training.learning_rate, self.training.weight_decay
        if self.training.optimizer == "sgd":
            return torch.optim.SGD(network.parameters(), lr=rate, weight_decay=decay, fused=True)
        return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay, fused=True)

    @torch.enable_grad()
    def train_epoch(self, epoch: int) -> Tensor:
        """Every member sees each of its training rows once; float [members], the mean training loss of each."""
        return torch.stack([self._train_member(index, epoch) for index in range(len(self.members))])

    def _train_member(self, index: int, epoch: int) -> Tensor:
        member, network, optimizer = self.members[index], self.networks[index], self.optimizers[index]
        drawn = draw(member, epoch, self.names, self.augmentation, self.model.hidden, self.model.dropout)
        total = torch.zeros((), device=self.device)
        for begin in range(0, len(drawn.rows), self.training.batch_size):
            part = slice(begin, begin + self.training.batch_size)
            rows = drawn.rows[part]
            outputs = network(self._batch(member, rows, drawn.moves, part), [mask[part] for mask in drawn.masks])
            loss = self.head.loss(outputs, member.targets[rows])
            optimizer.zero_grad(set_to_none=False)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total = total + loss.detach() * len(rows)
        return total / len(drawn.rows)

    def _batch(self, member: Member, rows: Tensor, moves: Tensor | None, part: slice) -> Tensor:
        raw = member.inputs[rows]
        if self.augmentation is not None and moves is not None:
            raw = self.augmentation.apply(raw, moves[part])
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
