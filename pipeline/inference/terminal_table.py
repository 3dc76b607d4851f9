"""Answers on a terminal: a table, with the three highest numbers of each where there are many."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.inference.predictions import Prediction
from pipeline.runtime.text import escape_unprintable, shorten

MAX_LISTED_OUTPUTS = 3


class TerminalTable:
    """A table that grows by a row with each answer, and is printed when all have come."""

    def __init__(self, output_names: Sequence[str]) -> None:
        self.output_names, self.table = output_names, Table(show_edge=False)
        for heading in ("file", "answer", *([""] if len(output_names) > 1 else [])):
            self.table.add_column(heading, overflow="fold")

    def add(self, prediction: Prediction) -> None:
        """A row for an answer; what could not be answered is said elsewhere."""
        if prediction.error:
            return
        cells = [escape_unprintable(prediction.name), shorten(prediction.text)]
        if len(self.output_names) > 1:
            ranked = sorted(zip(self.output_names, prediction.values, strict=True), key=lambda pair: -pair[1])[
                :MAX_LISTED_OUTPUTS
            ]
            cells.append(", ".join(f"{shorten(name)} {value:.3f}" for name, value in ranked))
        self.table.add_row(*map(escape, cells))

    def print(self) -> None:
        """The table, where there is an answer in it."""
        if self.table.row_count:
            Console(highlight=False, emoji=False).print(self.table)
