"""The inputs of a stack of dense networks, gathered batch by batch into one reused buffer."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pipeline.preprocessing import Inputs
from pipeline.preprocessing.augmentation import build_augmentation
from pipeline.preprocessing.streamed import StreamedImages
from pipeline.training.engine.epoch_plan import StepBlock
from pipeline.training.engine.interface import FoldData, Member
from pipeline.training.engine.parameters import round_up_to_vector
from pipeline.training.engine.randomness import EpochRandomness

GATHER_BUFFER_SIZE = 2**19  # floats of inputs gathered at a time: 2 MiB, which the caches of two cores hold
VALIDATION_BATCH_SIZE = 512  # rows


class InputBatches:
    """Batches of the inputs of members in the order of their slots; each batch overwrites the one before."""

    def __init__(self, inputs: Inputs, members: Sequence[Member], slot_count: int) -> None:
        self.inputs = inputs
        self.members = members
        self.augmentations = [build_augmentation(member.training, member.data.inputs) for member in members]
        self.padded_batch_size = round_up_to_vector(members[0].training.batch_size)
        step_size = slot_count * self.padded_batch_size * inputs.feature_count
        self.buffer = torch.zeros(max(GATHER_BUFFER_SIZE, step_size), device=members[0].data.inputs.device)

    def iterate_training(
        self, block: StepBlock, slots: slice, randomness: Sequence[EpochRandomness], steps_done: int
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield the rows and the inputs [slots, padded rows, features] of each remaining step of a block.

        Padded rows hold inputs of earlier steps: their deltas are 0, so nothing needs to clear them.
        """
        size = block.batch_size
        padded_size = round_up_to_vector(size)
        slot_count = slots.stop - slots.start
        features = self.inputs.feature_count
        # Several steps at a time: one or two rather than five save 2 to 5 % of an epoch (bench/LOG.md).
        steps_at_once = max(1, GATHER_BUFFER_SIZE // (slot_count * size * features)) if padded_size == size else 1
        for step in range(steps_done, block.steps, steps_at_once):
            step_count = min(steps_at_once, block.steps - step)
            rows = slice(block.first_row + step * size, block.first_row + (step + step_count) * size)
            used = self.buffer[: slot_count * step_count * padded_size * features]
            batches = used.view(slot_count, step_count * padded_size, features)
            for slot in range(block.first_slot, block.end_slot):
                self._gather_slot(slot, randomness[slot], rows, batches[slot - slots.start, : step_count * size])
            for part in range(step_count):
                first_row = rows.start + part * size
                yield slice(first_row, first_row + size), batches[:, part * padded_size : (part + 1) * padded_size]

    def _gather_slot(self, slot: int, randomness: EpochRandomness, rows: slice, out: Tensor) -> None:
        data = self.members[slot].data
        augmentation = self.augmentations[slot]
        if augmentation is None or randomness.augmentation_indices is None:
            self._gather_rows(data, randomness.input_rows[rows], out)
            return
        augmented = augmentation.apply(data.inputs[randomness.input_rows[rows]], randomness.augmentation_indices[rows])
        self.inputs.scale_into(augmented, data.input_constants, out)

    def _gather_rows(self, data: FoldData, rows: Tensor, out: Tensor) -> None:
        if isinstance(data.inputs, StreamedImages):
            self.inputs.scale_into(data.inputs[rows], data.input_constants, out)
        else:
            self.inputs.gather(data.inputs, rows, data.input_constants, out)

    def iterate_validation(self, slot: int) -> Iterator[Tensor]:
        """Yield the inputs of a member's validation rows, float [rows, features] each."""
        data = self.members[slot].data
        features = self.inputs.feature_count
        max_rows = max(self.padded_batch_size, GATHER_BUFFER_SIZE // features)
        for rows in torch.split(data.validation, min(VALIDATION_BATCH_SIZE, max_rows)):
            batch = self.buffer[: len(rows) * features].view(len(rows), features)
            self._gather_rows(data, rows, batch)
            yield batch
