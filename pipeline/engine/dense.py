"""All members of a trial as one stack of dense networks: one batched product a layer, no autograd."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor

from pipeline import seeds
from pipeline.augment import augmentation_of
from pipeline.config.schema import Model, Training
from pipeline.engine.draws import Draws, draw
from pipeline.engine.parts import Member, Seeds, State
from pipeline.engine.plan import Block, plan
from pipeline.engine.products import fastest
from pipeline.engine.step import SLOPES, Parameters, Pass, Update, filled
from pipeline.heads import Head
from pipeline.inputs import Inputs
from pipeline.network import Dense

GATHERED = 2**21  # numbers of inputs that are gathered at a time: 8 MiB, which the caches hold
VALIDATED = 512  # rows


class DenseStack:
    """The fused step for every fold at once; a member alone has a silent neighbour, and so the same digits."""

    def __init__(
        self, members: Sequence[Member], model: Model, training: Training, inputs: Inputs, head: Head, names: Seeds
    ) -> None:
        self.members = list(members)
        self.model, self.training = model, training
        self.inputs, self.head, self.names = inputs, head, names
        self.device = members[0].inputs.device
        self.augmentation = augmentation_of(training, members[0].inputs)
        self.order = sorted(range(len(members)), key=lambda index: -len(members[index].train))
        self.sorted = [self.members[index] for index in self.order]
        self.slots = max(2, len(members))
        self.parameters = Parameters(self.slots, inputs.features, [*model.hidden, head.outputs], self.device)
        self._initialise()
        self.blocks = plan([len(member.train) for member in self.sorted], training.batch_size)
        self.passes = {self._key(block): self._pass(block) for block in self.blocks}
        self.taken = self._taken()
        self.updates = {(block.first, block.last): self._update(block) for block in self.blocks}
        self.most = max(len(member.train) for member in members)
        self.targets = torch.zeros(self.slots, self.most, head.outputs, device=self.device)
        self.answers = torch.zeros(self.slots, self.most, filled(head.outputs), device=self.device)
        self.masks = [torch.zeros(self.slots, self.most, width, device=self.device) for width in self._masked()]
        most_inputs = max(GATHERED, self.slots * filled(training.batch_size) * inputs.features)
        self.scratch = torch.zeros(most_inputs, device=self.device)

    def _masked(self) -> tuple[int, ...]:
        return self.model.hidden if self.model.dropout > 0 else ()

    def _initialise(self) -> None:
        for slot, member in enumerate(self.sorted):
            network = Dense(self.inputs.features, self.model, self.head.outputs)
            network.initialise(seeds.generator(self.names.trial, member.fold, "weights"), member.output_bias)
            self.parameters.write(slot, network.state_dict())

    def _key(self, block: Block) -> tuple[int, int, int]:
        return *block.computed(self.slots), block.size

    def _pass(self, block: Block) -> Pass:
        first, last, rows = self._key(block)
        return Pass(self.parameters, slice(first, last), rows, self.model.activation, self.head)

    def _taken(self) -> list[tuple[slice, Tensor]]:
        """How many steps have been taken, for each run of neighbours that always step together."""
        taken, first = [], 0
        for _, run in groupby(len(member.train) for member in self.sorted):
            last = first + len(list(run))
            taken.append((slice(first, last), torch.zeros((), device=self.device)))
            first = last
        return taken

    def _update(self, block: Block) -> tuple[Update, list[Tensor]]:
        here = [
            (slice(max(run.start, block.first), min(run.stop, block.last)), taken)
            for run, taken in self.taken
            if max(run.start, block.first) < min(run.stop, block.last)
        ]
        return Update.of(self.parameters, here), [taken for _, taken in here]

    @torch.no_grad()
    def train_epoch(self, epoch: int) -> Tensor:
        """Every member sees each of its training rows once; float [members], the mean training loss of each."""
        drawn = [self._draw(slot, member, epoch) for slot, member in enumerate(self.sorted)]
        with fastest(self.parameters.values.weights[0]):
            for block in self.blocks:
                self._train(block, drawn)
        losses = torch.zeros(len(self.members))
        for slot, (index, member) in enumerate(zip(self.order, self.sorted, strict=True)):
            rows = drawn[slot].rows
            losses[index] = self.head.loss(self.answers[slot, : len(rows)], member.targets[rows])
        return losses

    def _draw(self, slot: int, member: Member, epoch: int) -> Draws:
        drawn = draw(member, epoch, self.names, self.augmentation, self._masked(), self.model.dropout)
        self.targets[slot, : len(drawn.rows)] = self.head.compared(member.targets[drawn.rows])
        for whole, mask in zip(self.masks, drawn.masks, strict=True):
            whole[slot, : len(mask)] = mask
        return drawn

    def _train(self, block: Block, drawn: Sequence[Draws]) -> None:
        first, last, size = self._key(block)
        step, (update, counts) = self.passes[first, last, size], self.updates[block.first, block.last]
        slots, own = slice(first, last), slice(block.first, block.last)
        for begin, inputs in self._gathered(block, drawn):
            rows = slice(begin, begin + size)
            step.run(inputs, self.targets[slots, rows], [mask[slots, rows] for mask in self.masks])
            self.answers[own, rows] = step.outputs[block.first - first : block.last - first]
            torch._foreach_add_(counts, 1)
            update.run(self.training)

    def _gathered(self, block: Block, drawn: Sequence[Draws]) -> Iterator[tuple[int, Tensor]]:
        """The first row of each step with its inputs [slots, filled rows, features], gathered several steps at a time.

        What fills rows up is left over from before: their deltas are 0.
        """
        first, last, size = self._key(block)
        count, height, features = last - first, filled(size), self.inputs.features
        at_once = max(1, GATHERED // (count * size * features)) if height == size else 1
        for step in range(0, block.steps, at_once):
            steps, begin = min(at_once, block.steps - step), block.begin + step * size
            rows = slice(begin, begin + steps * size)
            buffer = self.scratch[: count * steps * height * features].view(count, steps * height, features)
            for slot in range(block.first, block.last):
                self._gather(self.sorted[slot], drawn[slot], rows, buffer[slot - first, : steps * size])
            for part in range(steps):
                yield begin + part * size, buffer[:, part * height : (part + 1) * height]

    def _gather(self, member: Member, drawn: Draws, rows: slice, out: Tensor) -> None:
        if self.augmentation is None or drawn.moves is None:
            self.inputs.gather(member.inputs, drawn.rows[rows], member.input_constants, out)
            return
        changed = self.augmentation.apply(member.inputs[drawn.rows[rows]], drawn.moves[rows])
        self.inputs.scale(changed, member.input_constants, out)

    @torch.no_grad()
    def validate(self) -> list[Tensor]:
        """For each member its answers on its validation rows, float [V, columns], on the CPU."""
        with fastest(self.parameters.values.weights[0]):
            return [self._answers(self.order.index(index)) for index in range(len(self.members))]

    def _answers(self, slot: int) -> Tensor:
        """One member alone, whatever the others are: row counts may differ, and digits may not."""
        member, outputs = self.sorted[slot], []
        at_once = min(VALIDATED, len(self.scratch) // self.inputs.features)
        for rows in torch.split(member.validation, at_once):
            fed = self.scratch[: len(rows) * self.inputs.features].view(len(rows), -1)
            self.inputs.gather(member.inputs, rows, member.input_constants, fed)
            outputs.append(self._forward(slot, fed))
        return self.head.answer(torch.cat(outputs).cpu(), member.target_constants)

    def _forward(self, slot: int, fed: Tensor) -> Tensor:
        values = self.parameters.values
        for layer in range(self.parameters.layers):
            fed = torch.addmm(values.biases[layer][slot], fed, values.weights[layer][slot].t())
            if layer < self.parameters.layers - 1:
                SLOPES[self.model.activation].forward(fed[None], fed[None])
        return fed[:, : self.head.outputs]

    def state_dict(self, index: int) -> State:
        """A copy of a member's weights, on the CPU."""
        return self.parameters.read(self.order.index(index))
