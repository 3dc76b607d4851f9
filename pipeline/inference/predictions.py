"""Predictions for images and table rows, computed lazily in batches."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from torch import Tensor

from pipeline.artifact.model_files import TrainedModel
from pipeline.data.examples import DataError, Images, RawInputs
from pipeline.data.images.decode import read_pixels_or_error
from pipeline.data.images.discovery import expand_folders, find_images
from pipeline.data.images.safe_open import SUPPORTED_FORMATS
from pipeline.inference.arguments import PredictOptions
from pipeline.preprocessing import TableInputs
from pipeline.runtime.parallel import map_in_order
from pipeline.runtime.progress_bars import track

IMAGE_BATCH_SIZE = 256
MAX_BATCH_VALUES = 2**24  # pixels of a batch, 64 MB as float32


@dataclass(frozen=True)
class Prediction:
    """Prediction for an image or a table row: the outputs of the head and their text, or an error."""

    name: str
    values: tuple[float, ...] = ()
    text: str = ""
    error: str = ""
    image_file: Path | None = None


def iter_predictions(model: TrainedModel, options: PredictOptions) -> Generator[Prediction, None, None]:
    """Yield a prediction for each image or table row, in the order of the paths; a failed one has its error.

    A folder stands for the images in it and below. Raises UserError if the model's backbone is not installed or its
    weights are missing, and OSError if a path is too long.
    """
    inputs = model.architecture.inputs
    if isinstance(inputs, TableInputs):
        for path in options.paths:
            yield from _predict_table(model, inputs, path)
        return
    extract_features = model.build_feature_extractor(options.weights, options.store / "cache")
    for path in options.paths:
        if path.is_dir() and not find_images(path):
            yield Prediction(str(path), error=f"no image in this folder ({SUPPORTED_FORMATS})")
    files = expand_folders(options.paths)
    yield from track(_predict_images(model, inputs.size, files, extract_features), "predicting", len(files))


def _predict_images(
    model: TrainedModel, size: int, files: Sequence[Path], extract_features: Callable[[Images], RawInputs]
) -> Iterator[Prediction]:
    """Yield predictions for image files; one batch of images is in memory at a time."""
    decoded = map_in_order(lambda file: (file, read_pixels_or_error(file, size)), files)
    batch_size = max(1, min(IMAGE_BATCH_SIZE, MAX_BATCH_VALUES // (3 * size * size)))
    while batch := list(islice(decoded, batch_size)):
        images = [pixels for _, pixels in batch if not isinstance(pixels, str)]
        outputs = iter(model.predict(extract_features(Images(np.stack(images)))) if images else ())
        for file, pixels_or_error in batch:
            if isinstance(pixels_or_error, str):
                yield Prediction(str(file), error=pixels_or_error, image_file=file)
            else:
                yield _to_prediction(model, str(file), next(outputs), file)


def _predict_table(model: TrainedModel, inputs: TableInputs, path: Path) -> Iterator[Prediction]:
    # pandas takes a second, and images are predicted without it
    from pipeline.data.sources.table import read_table

    try:
        table, errors = read_table(path, inputs.numbers, inputs.categories, inputs.dates)
    except DataError as error:
        yield Prediction(str(path), error=str(error).removeprefix(f"{path}: "))
        return
    outputs = track(model.predict(table), f"predicting {len(table):,} rows", len(table))
    for number, (reason, output) in enumerate(zip(errors, outputs, strict=True), start=1):
        name = f"{path} row {number}"
        yield Prediction(name, error=reason) if reason else _to_prediction(model, name, output)


def _to_prediction(model: TrainedModel, name: str, output: Tensor, image_file: Path | None = None) -> Prediction:
    text = model.architecture.head.format_prediction(output)
    return Prediction(name, tuple(output.tolist()), text, image_file=image_file)
