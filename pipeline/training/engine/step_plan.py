"""Which members take which steps together in an epoch, when their training rows are not equally many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class StepBlock:
    """Steps that the members first to last - 1 take together: `steps` minibatches of `size` rows, from row `begin`."""

    first_slot: int
    end_slot: int
    first_row: int
    steps: int
    batch_size: int

    def computed_slots(self, slot_count: int) -> tuple[int, int]:
        """The slots whose products are computed: at least two, since one alone takes another kernel, which rounds
        differently; the neighbour's part is thrown away.
        """
        if self.end_slot - self.first_slot > 1:
            return self.first_slot, self.end_slot
        return (
            (self.first_slot, self.end_slot + 1) if self.end_slot < slot_count else (self.first_slot - 1, self.end_slot)
        )


def plan_steps(row_counts: Sequence[int], batch_size: int) -> list[StepBlock]:
    """The blocks of an epoch, in order, for members with so many training rows each, the most first.

    Every member's rows are taken once: its full minibatches, then what is left.
    """
    full_batches = [count // batch_size for count in row_counts]
    blocks, planned_batches = [], 0
    for end_slot in range(len(row_counts), 0, -1):
        if full_batches[end_slot - 1] > planned_batches:
            blocks.append(
                StepBlock(
                    0, end_slot, planned_batches * batch_size, full_batches[end_slot - 1] - planned_batches, batch_size
                )
            )
            planned_batches = full_batches[end_slot - 1]
    first_slot = 0
    while first_slot < len(row_counts):
        end_slot = first_slot + 1
        while end_slot < len(row_counts) and row_counts[end_slot] == row_counts[first_slot]:
            end_slot += 1
        if remainder := row_counts[first_slot] % batch_size:
            blocks.append(StepBlock(first_slot, end_slot, full_batches[first_slot] * batch_size, 1, remainder))
        first_slot = end_slot
    return sorted(blocks, key=lambda block: block.first_row)
