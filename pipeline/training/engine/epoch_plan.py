"""The plan of an epoch: which members step together when their folds have different numbers of training rows."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class StepBlock:
    """Consecutive steps of the slots first_slot to end_slot - 1: `steps` minibatches of `batch_size` rows."""

    first_slot: int
    end_slot: int
    first_row: int
    steps: int
    batch_size: int

    def computed_slots(self, slot_count: int) -> tuple[int, int]:
        """Return the first and end slot of the computed products: at least two slots, of which one may be unused.

        A batched product of one matrix takes another kernel, which rounds differently: a member alone would then
        differ from the same member in a stack.
        """
        if self.end_slot - self.first_slot > 1:
            return self.first_slot, self.end_slot
        if self.end_slot < slot_count:
            return self.first_slot, self.end_slot + 1
        return self.first_slot - 1, self.end_slot


def plan_epoch(row_counts: Sequence[int], batch_size: int) -> list[StepBlock]:
    """Return the blocks of an epoch in order, for slots with these numbers of training rows in descending order.

    Every slot takes each of its rows once: first its full minibatches, then one of the remaining rows.
    """
    full_batches = [count // batch_size for count in row_counts]
    blocks = []
    planned_batches = 0
    # Slots are sorted, so those with a further full minibatch are always the first ones.
    for end_slot in range(len(row_counts), 0, -1):
        if full_batches[end_slot - 1] > planned_batches:
            steps = full_batches[end_slot - 1] - planned_batches
            blocks.append(StepBlock(0, end_slot, planned_batches * batch_size, steps, batch_size))
            planned_batches = full_batches[end_slot - 1]
    # Remainders of different sizes cannot share a product: one block for each number of rows.
    first_slot = 0
    while first_slot < len(row_counts):
        end_slot = first_slot + 1
        while end_slot < len(row_counts) and row_counts[end_slot] == row_counts[first_slot]:
            end_slot += 1
        if remainder := row_counts[first_slot] % batch_size:
            blocks.append(StepBlock(first_slot, end_slot, full_batches[first_slot] * batch_size, 1, remainder))
        first_slot = end_slot
    return sorted(blocks, key=lambda block: block.first_row)
