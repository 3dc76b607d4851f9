"""Answers with a trained model: `python -m pipeline.predict model=cat_species photo.jpg output=answers.csv`."""

from __future__ import annotations

import csv
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.data.examples import Pictures, Raw
    from pipeline.inputs import FeatureInputs
    from pipeline.model import TrainedModel

HELP = """\
Answers with a trained model: its two files, and pictures or a table.

  python -m pipeline.predict model=<model> <picture, folder or table> ... [output=predictions.csv]

model     a folder with architecture.json and parameters.safetensors,
          the name of a task (its champion), or models:/<task>@<alias>
output    a CSV file: file, a column for each class or label (or prediction),
          answer, error; without it a table is printed
store     where the registry is, mlruns by default
weights   the file of the backbone's weights, if the search had model.weights

examples
  python -m pipeline.predict model=cat_species photo.jpg
  python -m pipeline.predict model=models:/day_night@champion photos/ output=answers.csv
  python -m pipeline.predict model=mlruns/studies/house_price-1a2b3c4d/model houses.csv
"""
KEYS = ("model", "output", "store", "weights")
BATCH = 256
LONGEST = 200  # letters of the system's own reason, which repeats a name of any length
UNANSWERED, MISTAKE = 1, 2


class WordError(Exception):
    """A word that cannot be understood, in one line."""


@dataclass(frozen=True)
class Words:
    """What was typed."""

    model: str
    paths: tuple[Path, ...]
    output: Path | None
    store: Path
    weights: Path | None = None


@dataclass(frozen=True)
class Answer:
    """One row of the answers: the numbers of the head's columns and what they say, or why there is none."""

    name: str
    values: tuple[float, ...] = ()
    answer: str = ""
    error: str = ""


def parse(texts: Sequence[str]) -> Words:
    """The words as typed: an existing path wins, then `key=value` with a known key, then a path that is not there.

    Raises WordError.
    """
    given: dict[str, str] = {}
    paths: list[Path] = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or _exists(text):
            paths.append(Path(text))
        elif key in KEYS:
            given[key] = value
        elif near := get_close_matches(key, KEYS, n=1):
            raise WordError(f"{key}: no such key (did you mean {near[0]}?); known: {', '.join(KEYS)}")
        else:
            paths.append(Path(text))
    if "model" not in given:
        raise WordError("model: say which, model=<folder, task or models:/...>")
    if not paths:
        raise WordError("say what to answer for: a picture, a folder of pictures or a table")
    output = Path(given["output"]) if "output" in given else None
    if output is not None and not output.parent.is_dir():
        raise WordError(f"output: a file in a folder that exists; got {output}")
    if output is not None and output.is_dir():
        raise WordError(f"output: a file, such as {output / 'predictions.csv'}; got a folder, {output}")
    weights = Path(given["weights"]) if "weights" in given else None
    if weights is not None and not weights.is_file():
        raise WordError(f"weights: a file that exists; got {weights}")
    return Words(given["model"], tuple(paths), output, Path(given.get("store", "mlruns")), weights)


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:  # as a name it is too long
        return False


def load(words: Words) -> TrainedModel:
    """The model from a folder's two files or from the registry; raises WordError where there is none."""
    from pipeline import model

    try:
        if Path(words.model).is_dir():
            return model.read(Path(words.model))
        if "/" in words.model and not words.model.startswith("models:/"):
            raise WordError(f"model: a folder that exists; got {words.model}")
        from pipeline.tracking.client import fetch

        uri = words.model if words.model.startswith("models:/") else f"models:/{words.model}@champion"
        return model.read(fetch(uri, words.store))
    except (model.ModelError, LookupError) as error:
        raise WordError(f"model: {error.args[0]}") from None


def answers(trained: TrainedModel, words: Words) -> Iterator[Answer]:
    """An answer for each picture or table row, in the order of the paths; what cannot be answered says why.

    Raises WordError where the weights of the model's backbone are not at hand.
    """
    from pipeline.inputs import FeatureInputs, PictureInputs

    layout = trained.architecture.inputs
    if isinstance(layout, PictureInputs):
        yield from _pictures(trained, layout.size, words.paths, lambda pictures: pictures)
    elif isinstance(layout, FeatureInputs):
        yield from _pictures(trained, layout.size, words.paths, _backbone(layout, words))
    else:
        for path in words.paths:
            yield from _table(trained, path)


def _backbone(layout: FeatureInputs, words: Words) -> Callable[[Pictures], Raw]:
    """What the model's backbone makes of pictures; raises WordError where its weights are not those of the search."""
    from pipeline.backbones import Frozen
    from pipeline.data.examples import DataError

    try:
        frozen = Frozen.of_model(layout, words.weights, words.store / "cache")
    except DataError as error:
        raise WordError(str(error)) from None
    return lambda pictures: frozen.look(pictures, layout.views)


def _pictures(
    trained: TrainedModel, size: int, paths: Sequence[Path], seen: Callable[[Pictures], Raw]
) -> Iterator[Answer]:
    """seen: what the network reads of the pictures."""
    import numpy as np

    from pipeline.data.examples import Pictures
    from pipeline.data.listing import listed
    from pipeline.data.opening import FORMATS
    from pipeline.data.pictures import decode_some

    for empty in (path for path in paths if path.is_dir() and not listed([path])):
        yield Answer(str(empty), error=f"no picture in this folder ({FORMATS})")
    files = listed(paths)
    for chunk in (files[start : start + BATCH] for start in range(0, len(files), BATCH)):
        decoded = decode_some(chunk, size)
        good = [picture for picture in decoded if not isinstance(picture, str)]
        answered = iter(trained.answers(seen(Pictures(np.stack(good)))) if good else ())
        for path, picture in zip(chunk, decoded, strict=True):
            if isinstance(picture, str):
                yield Answer(str(path), error=picture)
            else:
                yield _answer(trained, str(path), next(answered))


def _table(trained: TrainedModel, path: Path) -> Iterator[Answer]:
    from pipeline.data.examples import DataError
    from pipeline.data.table import read_rows
    from pipeline.inputs import TableInputs

    layout = trained.architecture.inputs
    assert isinstance(layout, TableInputs)
    try:
        rows, errors = read_rows(path, layout.numbers, layout.categories)
    except DataError as error:
        yield Answer(str(path), error=str(error))
        return
    for number, (reason, row) in enumerate(zip(errors, trained.answers(rows), strict=True), start=1):
        name = f"{path} row {number}"
        yield Answer(name, error=reason) if reason else _answer(trained, name, row)


def _answer(trained: TrainedModel, name: str, row: Tensor) -> Answer:
    return Answer(name, tuple(float(value) for value in row), trained.architecture.head.words(row))


def write_csv(file: Path, columns: Sequence[str], found: Sequence[Answer]) -> None:
    """The answers as a CSV file; numbers at full precision, names so that no spreadsheet runs them as formulas."""
    from pipeline.data.names import cell

    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", *map(cell, columns), "answer", "error"])
        for answer in found:
            values = [repr(value) for value in answer.values] or [""] * len(columns)
            writer.writerow([cell(answer.name), *values, cell(answer.answer), cell(answer.error)])


def show(columns: Sequence[str], found: Sequence[Answer]) -> None:
    """The answers as a table; of many columns the three with the highest numbers."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from pipeline.data.names import printable, shown

    table = Table(show_edge=False)
    for heading in ("file", "answer", *([""] if len(columns) > 1 else [])):
        table.add_column(heading, overflow="fold")
    for answer in found:
        if answer.error:
            continue
        cells = [printable(answer.name), shown(answer.answer)]
        if len(columns) > 1:
            likely = sorted(zip(columns, answer.values, strict=True), key=lambda pair: -pair[1])[:3]
            cells.append(", ".join(f"{shown(name)} {value:.3f}" for name, value in likely))
        table.add_row(*map(escape, cells))
    if table.row_count:
        Console(highlight=False, emoji=False).print(table)


def main(texts: Sequence[str]) -> int:
    """The command; returns its exit code: 1 where some files could not be answered, 2 where a word is wrong."""
    if not texts or {"-h", "--help"} & set(texts):
        print(HELP, end="")
        return 0 if texts else MISTAKE
    from pipeline.data.names import printable

    try:
        words = parse(texts)
        trained = load(words)
        found = list(answers(trained, words))
    except WordError as error:
        print(printable(str(error)), file=sys.stderr)
        return MISTAKE
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        print(printable(str(error))[:LONGEST], file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 128 + signal.SIGINT
    columns = trained.architecture.head.columns
    if words.output is not None:
        write_csv(words.output, columns, found)
        print(f"{sum(not answer.error for answer in found)} answers in {words.output}")
    else:
        show(columns, found)
    errors = [answer for answer in found if answer.error]
    for answer in errors:
        print(printable(f"{answer.name}: {answer.error}"), file=sys.stderr)
    return UNANSWERED if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
