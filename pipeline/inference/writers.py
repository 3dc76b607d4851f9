"""Predictions in a CSV or JSON Lines file, which is moved into place when complete, or in a table on the terminal."""

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.inference.arguments import JSON_LINES_SUFFIX
from pipeline.inference.predictions import Prediction
from pipeline.models.heads import AnyHead
from pipeline.runtime.files import atomic_path
from pipeline.runtime.text import escape_csv_cell, escape_unprintable, shorten

MAX_LISTED_OUTPUTS = 3  # highest outputs in a row of the terminal's table

Writer = Callable[[Prediction], None]


@contextmanager
def open_writer(file: Path, head: AnyHead) -> Iterator[Writer]:
    """Yield a function that writes a prediction as a row, in JSON Lines or CSV by the file's ending.

    The file is moved into place at the end; raises FileWriteError. A pipe or a device is written to directly.
    """
    make_writer = _make_json_lines_writer if file.suffix.lower() == JSON_LINES_SUFFIX else _make_csv_writer
    is_device = file.exists() and not file.is_file()
    path_context = nullcontext(file) if is_device else atomic_path(file.resolve())
    with path_context as path, path.open("w", newline="", encoding="utf-8") as stream:
        yield make_writer(stream, head)


def _make_csv_writer(stream: TextIO, head: AnyHead) -> Writer:
    """Return a writer of CSV: numbers at full precision, names escaped so that no spreadsheet runs them as formulas."""
    csv_writer = csv.writer(stream)
    csv_writer.writerow(["file", *map(escape_csv_cell, head.output_names), "answer", "error"])

    def write_prediction(prediction: Prediction) -> None:
        name, text, error = map(escape_csv_cell, (prediction.name, prediction.text, prediction.error))
        values = [repr(value) for value in prediction.values] or [""] * len(head.output_names)
        csv_writer.writerow([name, *values, text, error])

    return write_prediction


def _make_json_lines_writer(stream: TextIO, head: AnyHead) -> Writer:
    """Return a writer of JSON Lines: file, answer, probabilities by class (or prediction) and error, or null."""
    is_number = head.prediction_kinds[0] == "numbers"

    def write_prediction(prediction: Prediction) -> None:
        values = [value if math.isfinite(value) else None for value in prediction.values]
        output = None if not values else values[0] if is_number else dict(zip(head.output_names, values, strict=True))
        record = {
            "file": prediction.name,
            "answer": prediction.text or None,
            "prediction" if is_number else "probabilities": output,
            "error": prediction.error or None,
        }
        # JSON's own escapes mean the same, and no terminal acts on them
        line = json.dumps(record, ensure_ascii=False)
        stream.write("".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in line) + "\n")

    return write_prediction


class TerminalTable:
    """Table with a row for each prediction and its three highest outputs, printed when it is complete."""

    def __init__(self, output_names: Sequence[str]) -> None:
        self.output_names = output_names
        self.table = Table(show_edge=False)
        for heading in ("file", "answer", *([""] if len(output_names) > 1 else [])):
            self.table.add_column(heading, overflow="fold")

    def add(self, prediction: Prediction) -> None:
        """Add a row; a prediction that failed has none, since its error is printed separately."""
        if prediction.error:
            return
        cells = [escape_unprintable(prediction.name), shorten(prediction.text)]
        if len(self.output_names) > 1:
            ranked = sorted(zip(self.output_names, prediction.values, strict=True), key=lambda pair: -pair[1])
            cells.append(", ".join(f"{shorten(name)} {value:.3f}" for name, value in ranked[:MAX_LISTED_OUTPUTS]))
        self.table.add_row(*map(escape, cells))

    def print(self) -> None:
        """Print the table if it has a row."""
        if self.table.row_count:
            Console(highlight=False, emoji=False).print(self.table)
