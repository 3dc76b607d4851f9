"""A stack of dense networks: one batched product for each layer of all members, without autograd."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor

from pipeline.models.heads import Head
from pipeline.models.networks import DenseNetwork, StateDict
from pipeline.preprocessing import Inputs
from pipeline.runtime import seeds
from pipeline.training.engine import compat
from pipeline.training.engine.cpu_kernels import best_cpu_kernels
from pipeline.training.engine.epoch_plan import StepBlock, plan_epoch
from pipeline.training.engine.fused_forward_backward import FUSED_ACTIVATIONS, FusedForwardBackward
from pipeline.training.engine.input_batches import InputBatches
from pipeline.training.engine.interface import Member, Precision
from pipeline.training.engine.matmul import MATMUL_CLASSES
from pipeline.training.engine.optimizers import OptimizerStep, SlotRun
from pipeline.training.engine.parameters import StackedTensors, StackParameters, round_up_to_vector
from pipeline.training.engine.randomness import EpochRandomness, draw_epoch_randomness


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
        self.slot_order = sorted(range(len(members)), key=lambda index: -len(members[index].data.train))
        self.slot_members = [members[index] for index in self.slot_order]
        self.row_counts = [len(member.data.train) for member in self.slot_members]
        # A batched product of one matrix takes another kernel, which rounds differently: at least two slots.
        self.slot_count = max(2, len(members))
        outputs = self.head.output_count
        widths = [*self.model.hidden, outputs]
        has_averages = any(member.training.ema_decay > 0 for member in members)
        self.parameters = StackParameters(
            self.slot_count, self.inputs.feature_count, widths, self.device, has_averages=has_averages
        )
        # Members with equally many rows always step together, so that one count serves all of them.
        self.step_counts = {count: torch.zeros((), device=self.device) for count in self.row_counts}
        self.blocks = plan_epoch(self.row_counts, self.batch_size)
        self.forward_backwards = {self._block_key(block): self._build_forward_backward(block) for block in self.blocks}
        self.optimizer_steps = [self._build_optimizer_steps(block) for block in self.blocks]

        def allocate(width: int) -> Tensor:
            return torch.zeros(self.slot_count, self.row_counts[0], width, device=self.device)

        # Sized for the slot with the most rows, the first one.
        self.targets = allocate(outputs)
        self.train_outputs = allocate(round_up_to_vector(outputs))
        has_dropout = any(member.model.dropout > 0 for member in members)
        self.mask_widths = self.model.hidden if has_dropout else ()
        self.dropout_masks = [allocate(width).fill_(1) for width in self.mask_widths]
        self.input_batches = InputBatches(self.inputs, self.slot_members, self.slot_count)

    def _block_key(self, block: StepBlock) -> tuple[int, int, int]:
        return *block.computed_slots(self.slot_count), block.batch_size

    def _build_forward_backward(self, block: StepBlock) -> FusedForwardBackward:
        first, last, rows = self._block_key(block)
        return FusedForwardBackward(
            self.parameters, slice(first, last), rows, self.model.activation, self.head, self.matmul_class
        )

    def _build_optimizer_steps(self, block: StepBlock) -> list[OptimizerStep]:
        """Return the optimizer steps after a minibatch of the block."""
        slot_runs = []
        for (row_count, training), run in groupby(
            range(block.first_slot, block.end_slot),
            lambda slot: (self.row_counts[slot], self.slot_members[slot].training),
        ):
            first, *others = run
            slots = slice(first, first + 1 + len(others))
            epoch_steps = math.ceil(row_count / self.batch_size)
            slot_runs.append(SlotRun(slots, self.step_counts[row_count], epoch_steps, training))
        return OptimizerStep.build_all(self.parameters, slot_runs)

    @torch.no_grad()
    def train_epoch(self, epoch: int, on_step: Callable[[], None] = lambda: None) -> Tensor:
        """Train every member on each of its training rows once; return their mean losses: see `NetworkStack`."""
        randomness = [self._draw_randomness(slot, epoch) for slot in range(len(self.slot_members))]
        first_block, steps_done = self.position[1:] if self.position[0] == epoch else (0, 0)
        with best_cpu_kernels(self.parameters.values.weights, self.batch_size):
            for block_index in range(first_block, len(self.blocks)):
                for step in self._train_block(epoch, block_index, randomness, steps_done):
                    self.position = (epoch, block_index, step)
                    on_step()
                steps_done = 0
        # One loss over the stored outputs of the epoch, instead of one a step.
        losses = torch.zeros(len(self.members))
        for slot, index in enumerate(self.slot_order):
            member = self.slot_members[slot]
            outputs = self.train_outputs[slot, : self.row_counts[slot]]
            losses[index] = self.head.loss(outputs, member.data.targets[randomness[slot].rows], member.training)
        return losses

    def _draw_randomness(self, slot: int, epoch: int) -> EpochRandomness:
        """Sample an epoch of a member, and write its targets and dropout masks to the buffers."""
        member = self.slot_members[slot]
        randomness = draw_epoch_randomness(member, epoch, self.input_batches.augmentations[slot], self.mask_widths)
        targets = member.data.targets[randomness.rows]
        self.targets[slot, : len(targets)] = self.head.gradient_targets(targets, member.training)
        for buffer, mask in zip(self.dropout_masks, randomness.dropout_masks, strict=False):  # no mask: no dropout
            buffer[slot, : len(mask)] = mask
        return randomness

    def _train_block(
        self, epoch: int, block_index: int, randomness: Sequence[EpochRandomness], steps_done: int
    ) -> Iterator[int]:
        """Take the remaining steps of a block, yielding the number of steps done after each."""
        block = self.blocks[block_index]
        key = self._block_key(block)
        forward_backward = self.forward_backwards[key]
        slots = slice(*key[:2])
        block_slots = slice(block.first_slot, block.end_slot)
        stepped = slice(block.first_slot - slots.start, block.end_slot - slots.start)
        step_counts = [self.step_counts[count] for count in dict.fromkeys(self.row_counts[block_slots])]
        first_step = block.first_row // self.batch_size
        for rows, inputs in self.input_batches.iterate_training(block, slots, randomness, steps_done):
            forward_backward.run(inputs, self.targets[slots, rows], [mask[slots, rows] for mask in self.dropout_masks])
            self.train_outputs[block_slots, rows] = forward_backward.outputs[stepped]
            # Before the update: AdamW's bias correction counts this step too (Kingma & Ba 2015, algorithm 1).
            compat.foreach_add_(step_counts, 1)
            steps_done += 1
            for optimizer_step in self.optimizer_steps[block_index]:
                optimizer_step.run(epoch, first_step + steps_done)
            yield steps_done

    @torch.no_grad()
    def validate(self) -> list[Tensor]:
        with best_cpu_kernels(self.parameters.values.weights, self.batch_size):
            return [self._predict_member(self.slot_order.index(index)) for index in range(len(self.members))]

    def _predict_member(self, slot: int) -> Tensor:
        """Return the predictions of one member by itself: validation rows may differ in number, digits may not."""
        outputs = torch.cat([self._forward(slot, batch) for batch in self.input_batches.iterate_validation(slot)])
        return self.head.to_predictions(outputs.cpu(), self.slot_members[slot].data.target_constants)

    def _forward(self, slot: int, activations: Tensor) -> Tensor:
        weights = self._eval_weights(slot)
        for layer in range(self.parameters.layer_count):
            activations = torch.addmm(weights.biases[layer][slot], activations, weights.weights[layer][slot].t())
            if layer < self.parameters.layer_count - 1:
                FUSED_ACTIVATIONS[self.model.activation].forward(activations[None], activations[None])
        return activations[:, : self.head.output_count]

    def _eval_weights(self, slot: int) -> StackedTensors:
        """Return the tensors that hold the weights with which a slot predicts: their running mean if it has one."""
        if self.slot_members[slot].training.ema_decay > 0:
            assert self.parameters.averages is not None
            return self.parameters.averages
        return self.parameters.values

    def retain(self, indices: Sequence[int]) -> None:
        """Remove all other members; those that remain keep their weights, moments, means and step counts."""
        old_parameters = self.parameters
        old_step_counts = self.step_counts
        old_slots = [self.slot_order.index(index) for index in indices]
        # Freed before the new ones are allocated: a GPU need not hold both.
        del self.forward_backwards, self.optimizer_steps, self.input_batches, old_parameters.gradients
        del self.targets, self.train_outputs, self.dropout_masks
        self._allocate([self.members[index] for index in indices])
        for slot, index in enumerate(self.slot_order):
            self.parameters.copy_slot(slot, old_parameters, old_slots[index])
        for row_count, step_count in self.step_counts.items():
            step_count.copy_(old_step_counts[row_count])

    def training_state(self, index: int) -> StateDict:
        """Return a copy of a member's weights, moments, running mean, step count and training outputs, on the CPU.

        The outputs of this epoch are needed for the loss at the end of the epoch.
        """
        slot = self.slot_order.index(index)
        row_count = self.row_counts[slot]
        step_count = self.step_counts[row_count].cpu().clone()
        train_outputs = self.train_outputs[slot, :row_count].cpu().clone()
        return {**self.parameters.training_state(slot), "taken": step_count, "answers": train_outputs}

    def load_training_state(self, index: int, state: StateDict) -> None:
        slot = self.slot_order.index(index)
        self.parameters.load_training_state(slot, state)
        self.train_outputs[slot, : self.row_counts[slot]] = state["answers"]
        self.step_counts[self.row_counts[slot]].copy_(state["taken"])

    def state_dict(self, index: int) -> StateDict:
        slot = self.slot_order.index(index)
        return self.parameters.read_state_dict(slot, self._eval_weights(slot))
