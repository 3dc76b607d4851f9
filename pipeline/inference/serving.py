"""A trained model as a server asks it: base64 pictures or table rows in, answers out, or one sentence why not."""

from __future__ import annotations

import base64
import binascii
import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.data.examples import DataError, Pictures, Raw
from pipeline.data.images.decode import Pixels, decode_or_reason
from pipeline.data.sources.table import rows_of
from pipeline.runtime.parallel import in_order

if TYPE_CHECKING:  # torch takes seconds, and what is said of a model in MLflow does not need it
    from pipeline.artifact.model_files import TrainedModel
    from pipeline.preprocessing import TableInputs

IMAGE, ANSWER = "image", "answer"
MOST_ROWS, MOST_PICTURES = 100_000, 256  # of a request: seconds, where MLflow's server gives up after a minute
NOT_BASE64 = "the bytes of a picture file in base64"


class RequestError(Exception):
    """A request that cannot be answered: the rule and what it got, in one sentence."""


class Served:
    """A model that is kept in memory, its backbone included, and asked again and again, by several threads."""

    def __init__(self, trained: TrainedModel, weights: Path | None, cache: Path) -> None:
        """weights: a file of the backbone's; without one they are the published ones, from the package or `cache`.

        Raises DataError where the backbone's weights are not at hand, or are not those of the search.
        """
        self.trained = trained
        layout, tail = trained.architecture.inputs, trained.architecture.model.tail
        self.seen: Callable[[Pictures], Raw] = lambda pictures: pictures
        if layout.kind == "features":
            from pipeline.models.backbones import Frozen

            frozen, views = Frozen.of_model(layout, tail, weights, cache), layout.views
            _ = frozen.body  # made now: the first request does not wait for it
            self.seen = lambda pictures: frozen.look(pictures, views)

    def answers(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A row for each row: `answer`, and a column for each class or label, or the number; raises RequestError."""
        trained, layout = self.trained, self.trained.architecture.inputs
        raw = _rows(frame, layout) if layout.kind == "table" else self.seen(_pictures(frame, layout.size))
        found = trained.answers(raw)
        said = pd.DataFrame({ANSWER: [trained.architecture.head.words(row) for row in found]})
        return said.join(pd.DataFrame(found.double().numpy(), columns=named(trained.architecture.head.columns)))


def named(columns: Sequence[str]) -> list[str]:
    """What the columns of a head are called beside the answer; a class of the name `answer` makes room for it."""
    return [f"{name} (probability)" if name == ANSWER else name for name in columns]


def _check_count(frame: pd.DataFrame, most: int, what: str) -> None:
    """Of a request without a single column of the model's, that is what is to be said."""
    if len(frame.columns) and not 1 <= len(frame) <= most:
        raise RequestError(f"a request has 1 to {most:,} {what}; got {len(frame):,}")


def _rows(frame: pd.DataFrame, layout: TableInputs) -> Raw:
    """The rows of a table; the first that cannot be answered is refused, counted from 1."""
    _check_count(frame, MOST_ROWS, "rows")
    try:
        table, errors = rows_of(frame, layout.numbers, layout.categories)
    except DataError as error:
        raise RequestError(str(error)) from None
    if wrong := next((f"row {number}: {error}" for number, error in enumerate(errors, start=1) if error), None):
        raise RequestError(wrong)
    return table


def _pictures(frame: pd.DataFrame, size: int) -> Pictures:
    """The pictures, decoded as those of files are; the first that cannot be read is refused, counted from 1."""
    _check_count(frame, MOST_PICTURES, "pictures")
    if IMAGE not in frame:
        raise RequestError(f"each row has a column {IMAGE}: {NOT_BASE64}; got none")
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        files = [Path(folder, str(number)) for number in range(1, len(frame) + 1)]
        for file, cell in zip(files, frame[IMAGE], strict=True):
            file.write_bytes(_content(cell, file.name))
        return Pictures(np.stack(_read(in_order(partial(decode_or_reason, size=size), files))))


def _content(cell: object, number: str) -> bytes:
    """The bytes that a cell of base64 stands for; line breaks in it do no harm."""
    if not isinstance(cell, str):
        empty = cell is None or (isinstance(cell, float) and math.isnan(cell))
        raise RequestError(f"picture {number}: {NOT_BASE64}; got {'nothing' if empty else type(cell).__name__}")
    try:
        return base64.b64decode("".join(cell.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"picture {number}: {NOT_BASE64}; got something else ({error})") from None


def _read(decoded: Iterable[Pixels | str]) -> list[Pixels]:
    found = []
    for number, picture in enumerate(decoded, start=1):
        if isinstance(picture, str):
            raise RequestError(f"picture {number}: {picture}")
        found.append(picture)
    return found
