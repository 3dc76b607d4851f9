"""A stack of dense networks: one batched product for each layer of all members, without autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor

from pipeline.models.heads import Head
from pipeline.models.networks import DenseNetwork, StateDict
from pipeline.preprocessing import Inputs
from pipeline.preprocessing.augmentation import build_augmentation
from pipeline.preprocessing.streamed import StreamedImages
from pipeline.runtime import seeds
from pipeline.training.engine import compat
from pipeline.training.engine.cpu_kernels import best_cpu_kernels
from pipeline.training.engine.fused_step import FUSED_ACTIVATIONS, FusedForwardBackward
from pipeline.training.engine.interface import FoldData, Member, Precision
from pipeline.training.engine.matmul import MATMUL_CLASSES
from pipeline.training.engine.optimizers import OptimizerStep
from pipeline.training.engine.parameters import StackParameters, round_up_to_vector
from pipeline.training.engine.randomness import EpochRandomness, draw_epoch_randomness
from pipeline.training.engine.step_plan import StepBlock, plan_steps

GATHER_BUFFER_SIZE = 2**19  # floats of inputs gathered at a time: 2 MiB, which the caches of two cores hold
VALIDATION_BATCH_SIZE = 512  # rows


class FusedDenseStack:
    """The fused step for all members at once; see `StepBlock.computed_slots` for a member alone.

    Slots are the indices of the members in the tensors, in descending order of their training rows: members that take
    a step together are then always neighbours, and the products need no copy.
    """

    def __init__(self, members: Sequence[Member], inputs: Inputs, head: Head, precision: Precision) -> None:
        self.inputs = inputs
        self.head = head
        self.matmul_class = MATMUL_CLASSES[precision]
        self.device = members[0].data.inputs.device
        self.model = members[0].model
        self.batch_size = members[0].training.batch_size
        self._allocate(members)
        self.position = (-1, 0, 0)
        # One network for all members: building its modules takes longer than sampling its weights.
        network = DenseNetwork(inputs.feature_count, self.model, head.output_count)
        for slot, member in enumerate(self.slot_members):
            generator = seeds.make_generator(member.seeds.trial, member.data.fold, "weights")
            network.init_weights(generator, member.data.output_bias)
            self.parameters.write_state_dict(slot, network.state_dict())

    def _allocate(self, members: Sequence[Member]) -> None:
        """Assign a slot to each member and allocate all buffers; the parameters remain 0."""
        self.members = list(members)
        row_counts = [len(member.data.train) for member in members]
        self.slot_order = sorted(range(len(members)), key=lambda index: -row_counts[index])
        self.slot_members = [self.members[index] for index in self.slot_order]
        self.slot_count = max(2, len(members))
        widths = [*self.model.hidden, self.head.output_count]
        self.parameters = StackParameters(self.slot_count, self.inputs.feature_count, widths, self.device)
        self.augmentations = [build_augmentation(member.training, member.data.inputs) for member in self.slot_members]
        self.step_counts = [torch.zeros((), device=self.device) for _ in set(row_counts)]
        self.blocks = plan_steps(sorted(row_counts, reverse=True), self.batch_size)
        self.forward_backwards = {self._block_key(block): self._build_forward_backward(block) for block in self.blocks}
        self.optimizer_steps = {
            (block.first_slot, block.end_slot): self._build_optimizer_steps(block) for block in self.blocks
        }
        max_rows = max(row_counts)
        outputs = self.head.output_count
        self.targets = torch.zeros(self.slot_count, max_rows, outputs, device=self.device)
        self.train_outputs = torch.zeros(self.slot_count, max_rows, round_up_to_vector(outputs), device=self.device)
        has_dropout = any(member.model.dropout > 0 for member in members)
        self.mask_widths = self.model.hidden if has_dropout else ()
        self.dropout_masks = [
            torch.ones(self.slot_count, max_rows, width, device=self.device) for width in self.mask_widths
        ]
        self.gather_buffer = torch.zeros(
            max(GATHER_BUFFER_SIZE, self.slot_count * round_up_to_vector(self.batch_size) * self.inputs.feature_count),
            device=self.device,
        )

    def _block_key(self, block: StepBlock) -> tuple[int, int, int]:
        return *block.computed_slots(self.slot_count), block.batch_size

    def _build_forward_backward(self, block: StepBlock) -> FusedForwardBackward:
        first, last, rows = self._block_key(block)
        return FusedForwardBackward(
            self.parameters, slice(first, last), rows, self.model.activation, self.head, self.matmul_class
        )

    def _equal_length_runs(self) -> Iterator[tuple[int, int, Tensor]]:
        """Yield first slot, end slot and step count of each run of members with the same number of training rows.

        Those members always step together, so one count serves all.
        """
        first = 0
        for step_count, (_, run) in zip(
            self.step_counts, groupby(len(member.data.train) for member in self.slot_members), strict=True
        ):
            last = first + len(list(run))
            yield first, last, step_count
            first = last

    def _build_optimizer_steps(self, block: StepBlock) -> tuple[list[OptimizerStep], list[Tensor]]:
        """Return the optimizer steps after a minibatch of the block, and the step counts to increment before."""
        slot_runs = []
        step_counts = []
        for run_start, run_end, step_count in self._equal_length_runs():
            run_slots = range(max(run_start, block.first_slot), min(run_end, block.end_slot))
            if run_slots:
                step_counts.append(step_count)
            for training, equal_slots in groupby(run_slots, lambda slot: self.slot_members[slot].training):
                first, *others = equal_slots
                slot_runs.append((slice(first, first + 1 + len(others)), step_count, training))
        return OptimizerStep.build_all(self.parameters, slot_runs), step_counts

    @torch.no_grad()
    def train_epoch(self, epoch: int, on_step: Callable[[], None] = lambda: None) -> Tensor:
        """Train every member on each of its training rows once; return their mean losses: see `NetworkStack`."""
        randomness = [self._draw_randomness(slot, epoch) for slot in range(len(self.slot_members))]
        first_block, steps_done = self.position[1:] if self.position[0] == epoch else (0, 0)
        with best_cpu_kernels(self.parameters.values.weights, self.batch_size):
            for block_index in range(first_block, len(self.blocks)):
                for step in self._train_block(self.blocks[block_index], randomness, steps_done):
                    self.position = (epoch, block_index, step)
                    on_step()
                steps_done = 0
        # One loss over the stored outputs of the epoch, instead of one a step.
        losses = torch.zeros(len(self.members))
        for slot, index in enumerate(self.slot_order):
            rows = randomness[slot].rows
            member = self.slot_members[slot]
            losses[index] = self.head.loss(
                self.train_outputs[slot, : len(rows)], member.data.targets[rows], member.training
            )
        return losses

    def _draw_randomness(self, slot: int, epoch: int) -> EpochRandomness:
        member = self.slot_members[slot]
        randomness = draw_epoch_randomness(member, epoch, self.augmentations[slot], self.mask_widths)
        targets = self.head.gradient_targets(member.data.targets[randomness.rows], member.training)
        self.targets[slot, : len(randomness.rows)] = targets
        for mask_buffer, mask in zip(
            self.dropout_masks, randomness.dropout_masks, strict=bool(randomness.dropout_masks)
        ):
            mask_buffer[slot, : len(mask)] = mask
        return randomness

    def _train_block(self, block: StepBlock, randomness: Sequence[EpochRandomness], steps_done: int) -> Iterator[int]:
        """Take the remaining steps of a block, yielding the number of steps done after each."""
        first, last, size = self._block_key(block)
        forward_backward = self.forward_backwards[first, last, size]
        optimizer_steps, step_counts = self.optimizer_steps[block.first_slot, block.end_slot]
        slots = slice(first, last)
        block_slots = slice(block.first_slot, block.end_slot)
        for first_row, inputs in self._gather_steps(block, randomness, steps_done):
            rows = slice(first_row, first_row + size)
            forward_backward.run(inputs, self.targets[slots, rows], [mask[slots, rows] for mask in self.dropout_masks])
            self.train_outputs[block_slots, rows] = forward_backward.outputs[
                block.first_slot - first : block.end_slot - first
            ]
            compat.foreach_add_(step_counts, 1)
            for optimizer_step in optimizer_steps:
                optimizer_step.run()
            steps_done += 1
            yield steps_done

    def _gather_steps(
        self, block: StepBlock, randomness: Sequence[EpochRandomness], steps_done: int
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield the first row and the inputs [slots, padded rows, features] of each step, several gathered at a time.

        Padded rows hold inputs of earlier steps: their deltas are 0, so nothing needs to clear them.
        """
        first, last, size = self._block_key(block)
        slot_count = last - first
        padded_size = round_up_to_vector(size)
        features = self.inputs.feature_count
        steps_at_once = max(1, GATHER_BUFFER_SIZE // (slot_count * size * features)) if padded_size == size else 1
        for step in range(steps_done, block.steps, steps_at_once):
            step_count = min(steps_at_once, block.steps - step)
            first_row = block.first_row + step * size
            rows = slice(first_row, first_row + step_count * size)
            buffer = self.gather_buffer[: slot_count * step_count * padded_size * features].view(
                slot_count, step_count * padded_size, features
            )
            for slot in range(block.first_slot, block.end_slot):
                self._gather_inputs(slot, randomness[slot], rows, buffer[slot - first, : step_count * size])
            for part in range(step_count):
                yield first_row + part * size, buffer[:, part * padded_size : (part + 1) * padded_size]

    def _gather_inputs(self, slot: int, randomness: EpochRandomness, rows: slice, out: Tensor) -> None:
        data = self.slot_members[slot].data
        augmentation = self.augmentations[slot]
        if augmentation is None or randomness.augmentation_indices is None:
            self._write_inputs(data, randomness.input_rows[rows], out)
            return
        augmented = augmentation.apply(data.inputs[randomness.input_rows[rows]], randomness.augmentation_indices[rows])
        self.inputs.scale_into(augmented, data.input_constants, out)

    def _write_inputs(self, data: FoldData, rows: Tensor, out: Tensor) -> None:
        """Write the networks' inputs for these rows to `out`."""
        if isinstance(data.inputs, StreamedImages):
            self.inputs.scale_into(data.inputs[rows], data.input_constants, out)
        else:
            self.inputs.gather(data.inputs, rows, data.input_constants, out)

    @torch.no_grad()
    def validate(self) -> list[Tensor]:
        with best_cpu_kernels(self.parameters.values.weights, self.batch_size):
            return [self._predict_member(self.slot_order.index(index)) for index in range(len(self.members))]

    def _predict_member(self, slot: int) -> Tensor:
        """Return the predictions of one member by itself: validation rows may differ in number, digits may not."""
        data = self.slot_members[slot].data
        outputs = []
        batch_size = min(
            VALIDATION_BATCH_SIZE,
            max(round_up_to_vector(self.batch_size), GATHER_BUFFER_SIZE // self.inputs.feature_count),
        )
        for rows in torch.split(data.validation, batch_size):
            batch = self.gather_buffer[: len(rows) * self.inputs.feature_count].view(len(rows), -1)
            self._write_inputs(data, rows, batch)
            outputs.append(self._forward(slot, batch))
        return self.head.to_predictions(torch.cat(outputs).cpu(), data.target_constants)

    def _forward(self, slot: int, activations: Tensor) -> Tensor:
        values = self.parameters.values
        for layer in range(self.parameters.layer_count):
            activations = torch.addmm(values.biases[layer][slot], activations, values.weights[layer][slot].t())
            if layer < self.parameters.layer_count - 1:
                FUSED_ACTIVATIONS[self.model.activation].forward(activations[None], activations[None])
        return activations[:, : self.head.output_count]

    def retain(self, indices: Sequence[int]) -> None:
        """Remove all other members; those that remain keep their weights, moments and step counts."""
        old_parameters = self.parameters
        old_slots = [self.slot_order.index(index) for index in indices]
        step_counts = {len(self.slot_members[first].data.train): count for first, _, count in self._equal_length_runs()}
        # Freed before the new ones are allocated: a GPU need not hold both.
        del (
            self.forward_backwards,
            self.optimizer_steps,
            self.targets,
            self.train_outputs,
            self.dropout_masks,
            self.gather_buffer,
            old_parameters.gradients,
        )
        self._allocate([self.members[index] for index in indices])
        for slot, index in enumerate(self.slot_order):
            self.parameters.copy_slot(slot, old_parameters, old_slots[index])
        for first, _, count in self._equal_length_runs():
            count.copy_(step_counts[len(self.slot_members[first].data.train)])

    def training_state(self, index: int) -> StateDict:
        """Return a copy of a member's weights, moments, step count and training outputs of this epoch, on the CPU.

        The outputs are needed for the loss at the end of the epoch.
        """
        slot = self.slot_order.index(index)
        (step_count,) = [count for first, last, count in self._equal_length_runs() if first <= slot < last]
        train_outputs = self.train_outputs[slot, : len(self.slot_members[slot].data.train)]
        return {
            **self.parameters.training_state(slot),
            "taken": step_count.cpu().clone(),
            "answers": train_outputs.cpu().clone(),
        }

    def load_training_state(self, index: int, state: StateDict) -> None:
        slot = self.slot_order.index(index)
        self.parameters.load_training_state(slot, state)
        self.train_outputs[slot, : len(state["answers"])] = state["answers"]
        for first, last, count in self._equal_length_runs():
            if first <= slot < last:
                count.copy_(state["taken"])

    def state_dict(self, index: int) -> StateDict:
        return self.parameters.read_state_dict(self.slot_order.index(index))
