"""All members as one stack of dense networks: one batched product a layer, no autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor

from pipeline.models.heads import Head
from pipeline.models.networks import Dense
from pipeline.preprocessing import Inputs
from pipeline.preprocessing.augmentation import augmentation_of
from pipeline.preprocessing.streamed import Streamed
from pipeline.runtime import seeds
from pipeline.training.engine.cpu_kernels import fastest
from pipeline.training.engine.fused_step import SLOPES, Pass, Update
from pipeline.training.engine.interface import FoldData, Member, Precision, State
from pipeline.training.engine.matmul import PRODUCTS
from pipeline.training.engine.parameters import Parameters, filled
from pipeline.training.engine.randomness import Draws, draw
from pipeline.training.engine.step_plan import Block, plan

GATHERED = 2**19  # numbers of inputs that are gathered at a time: 2 MiB, which two cores' own caches hold
VALIDATED = 512  # rows


class DenseStack:
    """The fused step for every member at once; a member alone has a silent neighbour, and so the same digits.

    Slots are the places of the members in the tensors: those with the most training rows come first.
    """

    def __init__(self, members: Sequence[Member], inputs: Inputs, head: Head, precision: Precision) -> None:
        self.inputs, self.head, self.products = inputs, head, PRODUCTS[precision]
        self.device = members[0].data.inputs.device
        self.model, self.batch_size = members[0].model, members[0].training.batch_size
        self._arrange(members)
        self.position = (-1, 0, 0)
        network = Dense(inputs.features, self.model, head.outputs)  # one for all: making it takes longer than drawing
        for slot, member in enumerate(self.placed):
            first = seeds.generator(member.seeds.trial, member.data.fold, "weights")
            network.initialise(first, member.data.output_bias)
            self.parameters.write(slot, network.state_dict())

    def _arrange(self, members: Sequence[Member]) -> None:
        """Gives each member its slot, and makes every buffer; the parameters are still to be written."""
        self.members = list(members)
        counts = [len(member.data.train) for member in members]
        self.order = sorted(range(len(members)), key=lambda index: -counts[index])
        self.placed = [self.members[index] for index in self.order]
        self.slots = max(2, len(members))
        widths = [*self.model.hidden, self.head.outputs]
        self.parameters = Parameters(self.slots, self.inputs.features, widths, self.device)
        self.augmentations = [augmentation_of(member.training, member.data.inputs) for member in self.placed]
        self.taken = [torch.zeros((), device=self.device) for _ in set(counts)]
        self.blocks = plan(sorted(counts, reverse=True), self.batch_size)
        self.passes = {self._key(block): self._pass(block) for block in self.blocks}
        self.updates = {(block.first, block.last): self._update(block) for block in self.blocks}
        most, outputs = max(counts), self.head.outputs
        self.targets = torch.zeros(self.slots, most, outputs, device=self.device)
        self.answers = torch.zeros(self.slots, most, filled(outputs), device=self.device)
        drops = any(member.model.dropout > 0 for member in members)
        self.masked = self.model.hidden if drops else ()
        self.masks = [torch.ones(self.slots, most, width, device=self.device) for width in self.masked]
        self.scratch = torch.zeros(
            max(GATHERED, self.slots * filled(self.batch_size) * self.inputs.features), device=self.device
        )

    def _key(self, block: Block) -> tuple[int, int, int]:
        return *block.computed(self.slots), block.size

    def _pass(self, block: Block) -> Pass:
        first, last, rows = self._key(block)
        return Pass(self.parameters, slice(first, last), rows, self.model.activation, self.head, self.products)

    def _runs(self) -> Iterator[tuple[int, int, Tensor]]:
        """The first slot of each run of members with equally many training rows, its end, and the steps it has taken.

        Those members always step together.
        """
        first = 0
        for taken, (_, run) in zip(self.taken, groupby(len(member.data.train) for member in self.placed), strict=True):
            last = first + len(list(run))
            yield first, last, taken
            first = last

    def _update(self, block: Block) -> tuple[list[Update], list[Tensor]]:
        """The optimisers' steps after a minibatch of the block, and the counts of steps that go up before."""
        updates, counts = [], []
        for run, last, taken in self._runs():
            here = range(max(run, block.first), min(last, block.last))
            if here:
                counts.append(taken)
            for training, alike in groupby(here, lambda slot: self.placed[slot].training):
                first, *others = alike
                updates.append((slice(first, first + 1 + len(others)), taken, training))
        return Update.of(self.parameters, updates), counts

    @torch.no_grad()
    def train_epoch(self, epoch: int, rest: Callable[[], None] = lambda: None) -> Tensor:
        """Every member sees each of its training rows once; float [members], the mean training loss of each.

        rest: called after each step, where the stack may be saved, or left by raising; called again, it goes on there.
        """
        drawn = [self._draw(slot, epoch) for slot in range(len(self.placed))]
        first, done = self.position[1:] if self.position[0] == epoch else (0, 0)
        with fastest(self.parameters.values.weights, self.batch_size):
            for place in range(first, len(self.blocks)):
                for step in self._train(self.blocks[place], drawn, done):
                    self.position = (epoch, place, step)
                    rest()
                done = 0
        losses = torch.zeros(len(self.members))
        for slot, index in enumerate(self.order):
            rows = drawn[slot].rows
            losses[index] = self.head.loss(self.answers[slot, : len(rows)], self.placed[slot].data.targets[rows])
        return losses

    def _draw(self, slot: int, epoch: int) -> Draws:
        member = self.placed[slot]
        drawn = draw(member, epoch, self.augmentations[slot], self.masked)
        self.targets[slot, : len(drawn.rows)] = self.head.compared(member.data.targets[drawn.rows])
        for whole, mask in zip(self.masks, drawn.masks, strict=bool(drawn.masks)):
            whole[slot, : len(mask)] = mask
        return drawn

    def _train(self, block: Block, drawn: Sequence[Draws], done: int) -> Iterator[int]:
        """Takes the steps of a block, of which so many are done; after each one, how many are done."""
        first, last, size = self._key(block)
        step, (updates, counts) = self.passes[first, last, size], self.updates[block.first, block.last]
        slots, own = slice(first, last), slice(block.first, block.last)
        for begin, inputs in self._gathered(block, drawn, done):
            rows = slice(begin, begin + size)
            step.run(inputs, self.targets[slots, rows], [mask[slots, rows] for mask in self.masks])
            self.answers[own, rows] = step.outputs[block.first - first : block.last - first]
            torch._foreach_add_(counts, 1)
            for update in updates:
                update.run()
            done += 1
            yield done

    def _gathered(self, block: Block, drawn: Sequence[Draws], done: int) -> Iterator[tuple[int, Tensor]]:
        """The first row of each step with its inputs [slots, filled rows, features], gathered several steps at a time.

        What fills rows up is left over from before: their deltas are 0.
        """
        first, last, size = self._key(block)
        count, height, features = last - first, filled(size), self.inputs.features
        at_once = max(1, GATHERED // (count * size * features)) if height == size else 1
        for step in range(done, block.steps, at_once):
            steps, begin = min(at_once, block.steps - step), block.begin + step * size
            rows = slice(begin, begin + steps * size)
            buffer = self.scratch[: count * steps * height * features].view(count, steps * height, features)
            for slot in range(block.first, block.last):
                self._gather(slot, drawn[slot], rows, buffer[slot - first, : steps * size])
            for part in range(steps):
                yield begin + part * size, buffer[:, part * height : (part + 1) * height]

    def _gather(self, slot: int, drawn: Draws, rows: slice, out: Tensor) -> None:
        data, augmentation = self.placed[slot].data, self.augmentations[slot]
        if augmentation is None or drawn.moves is None:
            self._fill(data, drawn.read[rows], out)
            return
        changed = augmentation.apply(data.inputs[drawn.read[rows]], drawn.moves[rows])
        self.inputs.scale(changed, data.input_constants, out)

    def _fill(self, data: FoldData, rows: Tensor, out: Tensor) -> None:
        """Writes what the networks read of some rows."""
        if isinstance(data.inputs, Streamed):
            self.inputs.scale(data.inputs[rows], data.input_constants, out)
        else:
            self.inputs.gather(data.inputs, rows, data.input_constants, out)

    @torch.no_grad()
    def validate(self) -> list[Tensor]:
        """For each member its answers on its validation rows, float [V, columns], on the CPU."""
        with fastest(self.parameters.values.weights, self.batch_size):
            return [self._answers(self.order.index(index)) for index in range(len(self.members))]

    def _answers(self, slot: int) -> Tensor:
        """One member alone, whatever the others are: row counts may differ, and digits may not."""
        data, outputs = self.placed[slot].data, []
        at_once = min(VALIDATED, max(filled(self.batch_size), GATHERED // self.inputs.features))
        for rows in torch.split(data.validation, at_once):
            fed = self.scratch[: len(rows) * self.inputs.features].view(len(rows), -1)
            self._fill(data, rows, fed)
            outputs.append(self._forward(slot, fed))
        return self.head.answer(torch.cat(outputs).cpu(), data.target_constants)

    def _forward(self, slot: int, fed: Tensor) -> Tensor:
        values = self.parameters.values
        for layer in range(self.parameters.layers):
            fed = torch.addmm(values.biases[layer][slot], fed, values.weights[layer][slot].t())
            if layer < self.parameters.layers - 1:
                SLOPES[self.model.activation].forward(fed[None], fed[None])
        return fed[:, : self.head.outputs]

    def keep(self, indices: Sequence[int]) -> None:
        """The other members leave; those that stay keep their weights, their optimiser's means and their steps."""
        before, placed = self.parameters, [self.order.index(index) for index in indices]
        taken = {len(self.placed[first].data.train): count for first, _, count in self._runs()}
        del self.passes, self.updates, self.targets, self.answers, self.masks, self.scratch, before.gradients
        self._arrange([self.members[index] for index in indices])
        for slot, index in enumerate(self.order):
            self.parameters.copy(slot, before, placed[index])
        for first, _, count in self._runs():
            count.copy_(taken[len(self.placed[first].data.train)])

    def member_state(self, index: int) -> State:
        """A copy of all that a member is in the middle of its training, on the CPU; more than its weights.

        Its training answers are of the epoch that it is in, and its losses are taken from them.
        """
        slot = self.order.index(index)
        (taken,) = [count for first, last, count in self._runs() if first <= slot < last]
        answers = self.answers[slot, : len(self.placed[slot].data.train)]
        return {**self.parameters.kept(slot), "taken": taken.cpu().clone(), "answers": answers.cpu().clone()}

    def restore(self, index: int, state: State) -> None:
        """Makes a member what `member_state` has kept; also in another stack."""
        slot = self.order.index(index)
        self.parameters.restore(slot, state)
        self.answers[slot, : len(state["answers"])] = state["answers"]
        for first, last, count in self._runs():
            if first <= slot < last:
                count.copy_(state["taken"])

    def state_dict(self, index: int) -> State:
        """A copy of a member's weights, on the CPU."""
        return self.parameters.read(self.order.index(index))
