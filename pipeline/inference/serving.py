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

from pipeline.data.examples import DataError, Images, RawInputs
from pipeline.data.images.decode import Pixels, read_pixels_or_error
from pipeline.data.sources.table import parse_table
from pipeline.runtime.errors import UserError
from pipeline.runtime.parallel import map_in_order

if TYPE_CHECKING:  # torch takes seconds, and what is said of a model in MLflow does not need it
    from pipeline.artifact.model_files import TrainedModel
    from pipeline.preprocessing import TableInputs

IMAGE_COLUMN, ANSWER_COLUMN = "image", "answer"
MAX_REQUEST_ROWS, MAX_REQUEST_IMAGES = (
    100_000,
    256,
)  # of a request: seconds, where MLflow's server gives up after a minute
BASE64_RULE = "the bytes of a picture file in base64"


class RequestError(UserError):
    """A request that cannot be answered: the rule and what it got, in one sentence."""


class ModelServer:
    """A model that is kept in memory, its backbone included, and asked again and again, by several threads."""

    def __init__(self, trained_model: TrainedModel, weights: Path | None, cache: Path) -> None:
        """weights: a file of the backbone's; without one they are the published ones, from the package or `cache`.

        Raises DataError where the backbone's weights are not at hand, or are not those of the search.
        """
        self.trained_model = trained_model
        preprocessor, finetune = trained_model.architecture.inputs, trained_model.architecture.model.tail
        self.extract_features: Callable[[Images], RawInputs] = lambda pictures: pictures
        if preprocessor.kind == "features":
            from pipeline.models.backbones import PretrainedBackbone

            backbone, views = (
                PretrainedBackbone.from_trained_model(preprocessor, finetune, weights, cache),
                preprocessor.views,
            )
            _ = backbone.network  # made now: the first request does not wait for it
            self.extract_features = lambda pictures: backbone.extract(pictures, views)

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A row for each row: `answer`, and a column for each class or label, or the number; raises RequestError."""
        trained_model, preprocessor = self.trained_model, self.trained_model.architecture.inputs
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
    """What the columns of a head are called beside the answer; a class of the name `answer` makes room for it."""
    return [f"{name} (probability)" if name == ANSWER_COLUMN else name for name in output_names]


def _check_count(frame: pd.DataFrame, max_count: int, noun: str) -> None:
    """Of a request without a single column of the model's, that is what is to be said."""
    if len(frame.columns) and not 1 <= len(frame) <= max_count:
        raise RequestError(f"a request has 1 to {max_count:,} {noun}; got {len(frame):,}")


def _parse_table(frame: pd.DataFrame, preprocessor: TableInputs) -> RawInputs:
    """The rows of a table; the first that cannot be answered is refused, counted from 1."""
    _check_count(frame, MAX_REQUEST_ROWS, "rows")
    try:
        table, errors = parse_table(frame, preprocessor.numbers, preprocessor.categories)
    except DataError as error:
        raise RequestError(str(error)) from None
    if first_error := next((f"row {number}: {error}" for number, error in enumerate(errors, start=1) if error), None):
        raise RequestError(first_error)
    return table


def _decode_images(frame: pd.DataFrame, image_size: int) -> Images:
    """The pictures, decoded as those of files are; the first that cannot be read is refused, counted from 1."""
    _check_count(frame, MAX_REQUEST_IMAGES, "pictures")
    if IMAGE_COLUMN not in frame:
        raise RequestError(f"each row has a column {IMAGE_COLUMN}: {BASE64_RULE}; got none")
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        files = [Path(folder, str(number)) for number in range(1, len(frame) + 1)]
        for file, cell in zip(files, frame[IMAGE_COLUMN], strict=True):
            file.write_bytes(_decode_base64(cell, file.name))
        return Images(np.stack(_require_images(map_in_order(partial(read_pixels_or_error, size=image_size), files))))


def _decode_base64(cell: object, number: str) -> bytes:
    """The bytes that a cell of base64 stands for; line breaks in it do no harm."""
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
