"""Trained model behind a server: base64 images or table rows in, predictions or a one-line error out."""

from __future__ import annotations

import base64
import binascii
import math
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.data.examples import DataError, Images, RawInputs
from pipeline.data.images.decode import Pixels, read_pixels_or_error
from pipeline.data.sources.table import parse_table
from pipeline.runtime.errors import UserError
from pipeline.runtime.parallel import map_in_order

if TYPE_CHECKING:  # torch takes seconds, and the description of a model in MLflow does not need it
    from collections.abc import Sequence

    from pipeline.artifact.model_files import TrainedModel
    from pipeline.preprocessing import TableInputs

IMAGE_COLUMN = "image"
ANSWER_COLUMN = "answer"
MAX_REQUEST_ROWS = 100_000  # takes seconds; MLflow's server gives up after a minute
MAX_REQUEST_IMAGES = 256
BASE64_RULE = "the bytes of an image file in base64"


class RequestError(UserError):
    """Invalid request; the message has the rule and the value."""


class ModelServer:
    """Model in memory, with its backbone; `predict` may be called from several threads."""

    def __init__(self, model: TrainedModel, weights_file: Path | None, cache: Path) -> None:
        """Build the backbone, if the model has one; raise UserError, see `TrainedModel.build_feature_extractor`."""
        self.model = model
        self.extract_features = model.build_feature_extractor(weights_file, cache)

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return for each row `answer` and a column for each output of the head; raise RequestError."""
        inputs = self.model.architecture.inputs
        head = self.model.architecture.head
        if inputs.kind == "table":
            outputs = self.model.predict(_parse_table(frame, inputs))
        else:
            outputs = self.model.predict(self.extract_features(_decode_images(frame, inputs.size)))
        labels = pd.DataFrame({ANSWER_COLUMN: [head.format_prediction(row) for row in outputs]})
        columns = format_column_names(head.output_names)
        return labels.join(pd.DataFrame(outputs.double().numpy(), columns=columns))


def format_column_names(output_names: Sequence[str]) -> list[str]:
    """Return the columns of a head's outputs; an output named `answer` becomes `answer (probability)`."""
    return [f"{name} (probability)" if name == ANSWER_COLUMN else name for name in output_names]


def _check_count(frame: pd.DataFrame, max_count: int, noun: str) -> None:
    """Raise RequestError for a wrong number of rows; a request without columns has a better error later."""
    if len(frame.columns) and not 1 <= len(frame) <= max_count:
        raise RequestError(f"a request must have 1 to {max_count:,} {noun}; got {len(frame):,}")


def _parse_table(frame: pd.DataFrame, inputs: TableInputs) -> RawInputs:
    """Return the rows of a table; raise RequestError for the first invalid one, counted from 1."""
    _check_count(frame, MAX_REQUEST_ROWS, "rows")
    try:
        table, errors = parse_table(frame, inputs.numbers, inputs.categories, inputs.dates)
    except DataError as error:
        raise RequestError(str(error)) from None
    for number, reason in enumerate(errors, start=1):
        if reason:
            raise RequestError(f"row {number}: {reason}")
    return table


def _decode_images(frame: pd.DataFrame, size: int) -> Images:
    """Return the images, decoded as from files; raise RequestError for the first unreadable one, counted from 1."""
    _check_count(frame, MAX_REQUEST_IMAGES, "images")
    if IMAGE_COLUMN not in frame:
        raise RequestError(f"each row must have a column {IMAGE_COLUMN} with {BASE64_RULE}; got none")
    with tempfile.TemporaryDirectory(prefix="images-") as folder:
        files = [Path(folder, str(number)) for number in range(1, len(frame) + 1)]
        for file, cell in zip(files, frame[IMAGE_COLUMN], strict=True):
            file.write_bytes(_decode_base64(cell, file.name))
        images = list[Pixels]()
        for pixels_or_error in map_in_order(partial(read_pixels_or_error, size=size), files):
            if isinstance(pixels_or_error, str):
                raise RequestError(f"image {len(images) + 1}: {pixels_or_error}")
            images.append(pixels_or_error)
    return Images(np.stack(images))


def _decode_base64(cell: object, number: str) -> bytes:
    """Return the decoded bytes of a cell; line breaks in it are ignored."""
    if not isinstance(cell, str):
        is_empty = cell is None or (isinstance(cell, float) and math.isnan(cell))
        got = "nothing" if is_empty else type(cell).__name__
        raise RequestError(f"image {number}: must be {BASE64_RULE}; got {got}")
    try:
        return base64.b64decode("".join(cell.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"image {number}: must be {BASE64_RULE}; got something else ({error})") from None
