"""Answers on a terminal: a table, with the three highest numbers of each where there are many."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.inference.predictions import Answer
from pipeline.runtime.text import printable, shown

LIKELY = 3


class Shown:
    """A table that grows by a row with each answer, and is printed when all have come."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns, self.table = columns, Table(show_edge=False)
        for heading in ("file", "answer", *([""] if len(columns) > 1 else [])):
            self.table.add_column(heading, overflow="fold")

    def take(self, answer: Answer) -> None:
        """A row for an answer; what could not be answered is said elsewhere."""
        if answer.error:
            return
        cells = [printable(answer.name), shown(answer.answer)]
        if len(self.columns) > 1:
            likely = sorted(zip(self.columns, answer.values, strict=True), key=lambda pair: -pair[1])[:LIKELY]
            cells.append(", ".join(f"{shown(name)} {value:.3f}" for name, value in likely))
        self.table.add_row(*map(escape, cells))

    def print(self) -> None:
        """The table, where there is an answer in it."""
        if self.table.row_count:
            Console(highlight=False, emoji=False).print(self.table)
