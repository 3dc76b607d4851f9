"""A row of the table of faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """What came of a fault, in words and figures, and whether it is what must come of it."""

    figure: str
    reached: bool


@dataclass(frozen=True)
class Row:
    """A fault. full, short: how often it is injected by `make faults`, and by the tests; target: what must come of it.

    inject: takes how often, and an empty folder.
    """

    name: str
    fault: str
    target: str
    full: int
    short: int
    inject: Callable[[int, Path], Measured]
