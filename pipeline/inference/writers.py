"""Answers in a file, a row as each comes: CSV or JSON lines, whole at the end or not there."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pipeline.inference.arguments import JSON_LINES_SUFFIX
from pipeline.inference.predictions import Prediction
from pipeline.models.heads import AnyHead, NumberHead
from pipeline.runtime.files import atomic_path
from pipeline.runtime.text import escape_csv_cell

Writer = Callable[[Prediction], None]


@contextmanager
def open_writer(file: Path, head: AnyHead) -> Iterator[Writer]:
    """Inside, each answer that is given becomes a row of the file, by its ending JSON lines or CSV.

    The file is moved to its place when all is over; raises NotWrittenError. A pipe or a device has no such place, and
    is written to as it is.
    """
    make_writer = _make_json_lines_writer if file.suffix.lower() == JSON_LINES_SUFFIX else _make_csv_writer
    if file.exists() and not file.is_file():
        with file.open("w", newline="", encoding="utf-8") as stream:
            yield make_writer(stream, head)
        return
    with (
        atomic_path(file.resolve()) as temporary_file,
        temporary_file.open("w", newline="", encoding="utf-8") as stream,
    ):
        yield make_writer(stream, head)


def _make_csv_writer(stream: TextIO, head: AnyHead) -> Writer:
    """Numbers at full precision, names so that no spreadsheet runs them as formulas."""
    csv_writer = csv.writer(stream)
    csv_writer.writerow(["file", *map(escape_csv_cell, head.output_names), "answer", "error"])

    def write_prediction(prediction: Prediction) -> None:
        values = [repr(value) for value in prediction.values] or [""] * len(head.output_names)
        csv_writer.writerow(
            [
                escape_csv_cell(prediction.name),
                *values,
                escape_csv_cell(prediction.text),
                escape_csv_cell(prediction.error),
            ]
        )

    return write_prediction


def _make_json_lines_writer(stream: TextIO, head: AnyHead) -> Writer:
    """An object a line: file, answer, probabilities by class (or prediction), error; null for what there is not."""
    is_number = isinstance(head, NumberHead)

    def write_prediction(prediction: Prediction) -> None:
        values = [value if math.isfinite(value) else None for value in prediction.values]
        output = None if not values else values[0] if is_number else dict(zip(head.output_names, values, strict=True))
        record = {
            "file": prediction.name,
            "answer": prediction.text or None,
            "prediction" if is_number else "probabilities": output,
            "error": prediction.error or None,
        }
        stream.write(_escape_unprintable(json.dumps(record, ensure_ascii=False)) + "\n")

    return write_prediction


def _escape_unprintable(line: str) -> str:
    """Letters of every script stay; what is not printable is written as JSON's own escape, and means the same."""
    if line.isprintable():
        return line
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in line)
