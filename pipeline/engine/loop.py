"""One member after the other with autograd: for any layer, and what the fused step is held against by the tests."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline import seeds
from pipeline.augment import augmentation_of
from pipeline.config.schema import Training
from pipeline.engine.draws import Draws, draw
from pipeline.engine.parts import Member, Precision, State
from pipeline.heads import Head
from pipeline.inputs import Inputs
from pipeline.network import Dense


class LoopStack:
    """A network and an optimiser of the library for each member; not kept in the middle of its training."""

    def __init__(self, members: Sequence[Member], inputs: Inputs, head: Head, precision: Precision) -> None:
        self.members, self.half = list(members), precision == "bf16"
        self.inputs, self.head = inputs, head
        self.device = members[0].data.inputs.device
        self.networks = [self._network(member) for member in members]
        self.optimizers = [
            _optimizer(network, member.training) for network, member in zip(self.networks, members, strict=True)
        ]
        self.augmentations = [augmentation_of(member.training, member.data.inputs) for member in members]

    def _network(self, member: Member) -> Dense:
        network = Dense(self.inputs.features, member.model, self.head.outputs)
        fold, bias = member.data.fold, member.data.output_bias
        network.initialise(seeds.generator(member.seeds.trial, fold, "weights"), bias)
        return network.to(self.device)

    @torch.enable_grad()
    def train_epoch(self, epoch: int) -> Tensor:
        """Every member sees each of its training rows once; float [members], the mean training loss of each."""
        return torch.stack([self._train_member(index, epoch) for index in range(len(self.members))])

    def _train_member(self, index: int, epoch: int) -> Tensor:
        member, network, optimizer = self.members[index], self.networks[index], self.optimizers[index]
        drawn = draw(member, epoch, self.augmentations[index], member.model.hidden)
        total = torch.zeros((), device=self.device)
        size = member.training.batch_size
        for begin in range(0, len(drawn.rows), size):
            part = slice(begin, begin + size)
            rows = drawn.rows[part]
            fed, masks = self._batch(index, drawn, part), [mask[part] for mask in drawn.masks]
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                outputs = network(fed, masks)
            loss = self.head.loss(outputs, member.data.targets[rows])
            optimizer.zero_grad(set_to_none=False)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total = total + loss.detach() * len(rows)
        return total / len(drawn.rows)

    def _batch(self, index: int, drawn: Draws, part: slice) -> Tensor:
        data, augmentation = self.members[index].data, self.augmentations[index]
        raw = data.inputs[drawn.read[part]]
        if augmentation is not None and drawn.moves is not None:
            raw = augmentation.apply(raw, drawn.moves[part])
        return self.inputs.batch(raw, data.input_constants)

    @torch.no_grad()
    def validate(self) -> list[Tensor]:
        """For each member its answers on its validation rows, float [V, columns], on the CPU."""
        return [self._answers(index) for index in range(len(self.members))]

    def _answers(self, index: int) -> Tensor:
        data, network = self.members[index].data, self.networks[index]
        chunks = torch.split(data.validation, 1024)
        outputs = [network(self.inputs.batch(data.inputs[rows], data.input_constants)) for rows in chunks]
        return self.head.answer(torch.cat(outputs).cpu(), data.target_constants)

    def keep(self, indices: Sequence[int]) -> None:
        """The other members leave."""
        self.members = [self.members[index] for index in indices]
        self.networks = [self.networks[index] for index in indices]
        self.optimizers = [self.optimizers[index] for index in indices]
        self.augmentations = [self.augmentations[index] for index in indices]

    def state_dict(self, index: int) -> State:
        """A copy of a member's weights, on the CPU."""
        return {name: weights.detach().cpu().clone() for name, weights in self.networks[index].state_dict().items()}


def _optimizer(network: Dense, training: Training) -> torch.optim.Optimizer:
    rate, decay = training.learning_rate, training.weight_decay
    if training.optimizer == "sgd":
        return torch.optim.SGD(network.parameters(), lr=rate, weight_decay=decay, fused=True)
    return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay, fused=True)
