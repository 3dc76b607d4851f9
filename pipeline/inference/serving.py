"""Trained model behind a server: base64 images or table rows in, predictions or a one-line error out."""

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

from pipeline.data.examples import DataError, Images, RawInputs
from pipeline.data.images.decode import Pixels, read_pixels_or_error
from pipeline.data.sources.table import parse_table
from pipeline.runtime.errors import UserError
from pipeline.runtime.parallel import map_in_order

if TYPE_CHECKING:  # torch takes seconds, and the description of a model in MLflow does not need it
    from pipeline.artifact.model_files import TrainedModel
    from pipeline.preprocessing import TableInputs

IMAGE_COLUMN = "image"
ANSWER_COLUMN = "answer"
MAX_REQUEST_ROWS = 100_000  # takes seconds; MLflow's server gives up after a minute
MAX_REQUEST_IMAGES = 256
BASE64_RULE = "the bytes of a picture file in base64"


class RequestError(UserError):
    """Invalid request; the message has the rule and the value."""


class ModelServer:
    """Model in memory, with its backbone; `predict` may be called from several threads."""

    def __init__(self, trained_model: TrainedModel, weights: Path | None, cache: Path) -> None:
        """Build the backbone, from the file `weights` or the published weights in the package or `cache`.

        Raises DataError if the backbone's weights are missing, or differ from those of the search.
        """
        self.trained_model = trained_model
        preprocessor = trained_model.architecture.inputs
        finetune = trained_model.architecture.model.tail
        self.extract_features: Callable[[Images], RawInputs] = lambda pictures: pictures
        if preprocessor.kind == "features":
            from pipeline.models.backbones import PretrainedBackbone

            backbone = PretrainedBackbone.from_trained_model(preprocessor, finetune, weights, cache)
            views = preprocessor.views
            _ = backbone.network  # built now, so that the first request does not wait
            self.extract_features = lambda pictures: backbone.extract(pictures, views)

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return for each row `answer` and a column for each output of the head; raise RequestError."""
        trained_model = self.trained_model
        preprocessor = trained_model.architecture.inputs
        raw = (
            _parse_table(frame, preprocessor)
            if preprocessor.kind == "table"
            else self.extract_features(_decode_images(frame, preprocessor.size))
        )
        outputs = trained_model.predict(raw)
        labels = pd.DataFrame(
            {ANSWER_COLUMN: [trained_model.architecture.head.format_prediction(row) for row in outputs]}
        )
        return labels.join(
            pd.DataFrame(
                outputs.double().numpy(), columns=format_column_names(trained_model.architecture.head.output_names)
            )
        )


def format_column_names(output_names: Sequence[str]) -> list[str]:
    """Return the columns of a head's outputs; an output named `answer` becomes `answer (probability)`."""
    return [f"{name} (probability)" if name == ANSWER_COLUMN else name for name in output_names]


def _check_count(frame: pd.DataFrame, max_count: int, noun: str) -> None:
    """Raise RequestError for a wrong number of rows; a request without columns has a better error later."""
    if len(frame.columns) and not 1 <= len(frame) <= max_count:
        raise RequestError(f"a request has 1 to {max_count:,} {noun}; got {len(frame):,}")


def _parse_table(frame: pd.DataFrame, preprocessor: TableInputs) -> RawInputs:
    """Return the rows of a table; raise RequestError for the first invalid one, counted from 1."""
    _check_count(frame, MAX_REQUEST_ROWS, "rows")
    try:
        table, errors = parse_table(frame, preprocessor.numbers, preprocessor.categories)
    except DataError as error:
        raise RequestError(str(error)) from None
    if first_error := next((f"row {number}: {error}" for number, error in enumerate(errors, start=1) if error), None):
        raise RequestError(first_error)
    return table


def _decode_images(frame: pd.DataFrame, image_size: int) -> Images:
    """Return the images, decoded as from files; raise RequestError for the first unreadable one, counted from 1."""
    _check_count(frame, MAX_REQUEST_IMAGES, "pictures")
    if IMAGE_COLUMN not in frame:
        raise RequestError(f"each row has a column {IMAGE_COLUMN}: {BASE64_RULE}; got none")
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        files = [Path(folder, str(number)) for number in range(1, len(frame) + 1)]
        for file, cell in zip(files, frame[IMAGE_COLUMN], strict=True):
            file.write_bytes(_decode_base64(cell, file.name))
        return Images(np.stack(_require_images(map_in_order(partial(read_pixels_or_error, size=image_size), files))))


def _decode_base64(cell: object, number: str) -> bytes:
    """Return the decoded bytes of a cell; line breaks in it are ignored."""
    if not isinstance(cell, str):
        is_empty = cell is None or (isinstance(cell, float) and math.isnan(cell))
        raise RequestError(f"picture {number}: {BASE64_RULE}; got {'nothing' if is_empty else type(cell).__name__}")
    try:
        return base64.b64decode("".join(cell.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"picture {number}: {BASE64_RULE}; got something else ({error})") from None


def _require_images(results: Iterable[Pixels | str]) -> list[Pixels]:
    images = []
    for number, image_or_error in enumerate(results, start=1):
        if isinstance(image_or_error, str):
            raise RequestError(f"picture {number}: {image_or_error}")
        images.append(image_or_error)
    return images
