"""Answers in a file, a row as each comes: CSV or JSON lines, whole at the end or not there."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pipeline.inference.arguments import JSON_LINES
from pipeline.inference.predictions import Answer
from pipeline.models.heads import AnyHead, NumberHead
from pipeline.runtime.files import moved_whole
from pipeline.runtime.text import cell

Take = Callable[[Answer], None]


@contextmanager
def written(file: Path, head: AnyHead) -> Iterator[Take]:
    """Inside, each answer that is given becomes a row of the file, by its ending JSON lines or CSV.

    The file is moved to its place when all is over; raises NotWrittenError. A pipe or a device has no such place, and
    is written to as it is.
    """
    row = _json_lines if file.suffix.lower() == JSON_LINES else _csv
    if file.exists() and not file.is_file():
        with file.open("w", newline="", encoding="utf-8") as stream:
            yield row(stream, head)
        return
    with moved_whole(file.resolve()) as new, new.open("w", newline="", encoding="utf-8") as stream:
        yield row(stream, head)


def _csv(stream: TextIO, head: AnyHead) -> Take:
    """Numbers at full precision, names so that no spreadsheet runs them as formulas."""
    writer = csv.writer(stream)
    writer.writerow(["file", *map(cell, head.columns), "answer", "error"])

    def take(answer: Answer) -> None:
        values = [repr(value) for value in answer.values] or [""] * len(head.columns)
        writer.writerow([cell(answer.name), *values, cell(answer.answer), cell(answer.error)])

    return take


def _json_lines(stream: TextIO, head: AnyHead) -> Take:
    """An object a line: file, answer, probabilities by class (or prediction), error; null for what there is not."""
    number = isinstance(head, NumberHead)

    def take(answer: Answer) -> None:
        values = [value if math.isfinite(value) else None for value in answer.values]
        said = None if not values else values[0] if number else dict(zip(head.columns, values, strict=True))
        row = {
            "file": answer.name,
            "answer": answer.answer or None,
            "prediction" if number else "probabilities": said,
            "error": answer.error or None,
        }
        stream.write(_escaped(json.dumps(row, ensure_ascii=False)) + "\n")

    return take


def _escaped(line: str) -> str:
    """Letters of every script stay; what is not printable is written as JSON's own escape, and means the same."""
    if line.isprintable():
        return line
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in line)
