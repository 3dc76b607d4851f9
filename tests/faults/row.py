"""Define a row of the table of faults and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """Hold the result of a fault as text with figures, and whether it reached the target."""

    figure: str
    reached: bool


@dataclass(frozen=True)
class Row:
    """Describe a fault: its name, its target, and the function that injects it.

    full, short: how many times `make faults` and the tests inject it. inject: takes that count and an empty folder.
    """

    name: str
    fault: str
    target: str
    full: int
    short: int
    inject: Callable[[int, Path], Measured]
