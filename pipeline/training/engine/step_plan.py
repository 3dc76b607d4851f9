"""Which members take which steps together in an epoch, when their training rows are not equally many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """Steps that the members first to last - 1 take together: `steps` minibatches of `size` rows, from row `begin`."""

    first: int
    last: int
    begin: int
    steps: int
    size: int

    def computed(self, slots: int) -> tuple[int, int]:
        """The slots whose products are computed: at least two, since one alone takes another kernel, which rounds
        differently; the neighbour's part is thrown away.
        """
        if self.last - self.first > 1:
            return self.first, self.last
        return (self.first, self.last + 1) if self.last < slots else (self.first - 1, self.last)


def plan(counts: Sequence[int], batch_size: int) -> list[Block]:
    """The blocks of an epoch, in order, for members with so many training rows each, the most first.

    Every member's rows are taken once: its full minibatches, then what is left.
    """
    full = [count // batch_size for count in counts]
    blocks, taken = [], 0
    for last in range(len(counts), 0, -1):
        if full[last - 1] > taken:
            blocks.append(Block(0, last, taken * batch_size, full[last - 1] - taken, batch_size))
            taken = full[last - 1]
    first = 0
    while first < len(counts):
        last = first + 1
        while last < len(counts) and counts[last] == counts[first]:
            last += 1
        if rest := counts[first] % batch_size:
            blocks.append(Block(first, last, full[first] * batch_size, 1, rest))
        first = last
    return sorted(blocks, key=lambda block: block.begin)
