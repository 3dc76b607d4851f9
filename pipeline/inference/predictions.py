"""Predictions for images and table rows, computed lazily in batches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from torch import Tensor

from pipeline.artifact.model_files import TrainedModel
from pipeline.data.examples import DataError, Images, RawInputs
from pipeline.data.images.decode import Pixels, read_pixels_or_error
from pipeline.data.images.discovery import count_other_files, expand_folders
from pipeline.data.images.safe_open import SUPPORTED_FORMATS
from pipeline.inference.arguments import PredictOptions
from pipeline.preprocessing import FeatureInputs, TableInputs
from pipeline.runtime.arguments import UsageError
from pipeline.runtime.parallel import map_in_order
from pipeline.runtime.progress_bars import track

IMAGE_BATCH_SIZE = 256
MAX_BATCH_VALUES = 2**24  # pixels of a batch, 64 MB as float32


@dataclass(frozen=True)
class Prediction:
    """Prediction for an image or a table row: the outputs of the head and their text, or an error.

    image_file: file of an image.
    """

    name: str
    values: tuple[float, ...] = ()
    text: str = ""
    error: str = ""
    image_file: Path | None = None


@dataclass(frozen=True)
class PredictionRequest:
    """Inputs to predict for: the paths as typed; for a model of images also the image files and the empty folders.

    skipped_count: number of files in the folders that are no images.
    """

    paths: tuple[Path, ...]
    image_files: tuple[Path, ...] = ()
    empty_folders: tuple[Path, ...] = ()
    skipped_count: int = 0

    @classmethod
    def from_paths(cls, trained_model: TrainedModel, paths: Sequence[Path]) -> PredictionRequest:
        """Return the request with the images of the folders; raise OSError if a name is too long."""
        if isinstance(trained_model.architecture.inputs, TableInputs):
            return cls(tuple(paths))
        folders = [path for path in paths if path.is_dir()]
        empty_folders = tuple(folder for folder in folders if not expand_folders([folder]))
        return cls(tuple(paths), tuple(expand_folders(paths)), empty_folders, sum(map(count_other_files, folders)))


def iter_predictions(
    trained_model: TrainedModel, options: PredictOptions, request: PredictionRequest
) -> Generator[Prediction, None, None]:
    """Yield a prediction for each image or table row, in the order of the paths; a failed one has its error.

    Raises UsageError if the model's backbone is not installed or its weights are missing.
    """
    preprocessor = trained_model.architecture.inputs
    if isinstance(preprocessor, TableInputs):
        for path in request.paths:
            yield from _predict_table(trained_model, preprocessor, path)
        return
    extract_features = (
        _build_feature_extractor(trained_model, preprocessor, options)
        if isinstance(preprocessor, FeatureInputs)
        else _identity
    )
    for folder in request.empty_folders:
        yield Prediction(str(folder), error=f"no picture in this folder ({SUPPORTED_FORMATS})")
    yield from track(
        _predict_images(trained_model, preprocessor.size, request.image_files, extract_features),
        "answering",
        len(request.image_files),
    )


def _identity(images: Images) -> RawInputs:
    return images


def _build_feature_extractor(
    trained_model: TrainedModel, preprocessor: FeatureInputs, options: PredictOptions
) -> Callable[[Images], RawInputs]:
    """Return the function from images to features; raise UsageError if the backbone or its weights are missing."""
    from pipeline.models.backbones import PretrainedBackbone

    try:
        backbone = PretrainedBackbone.from_trained_model(
            preprocessor, trained_model.architecture.model.tail, options.weights, options.store / "cache"
        )
        _ = backbone.network  # built now, so that an error comes before the first prediction
    except DataError as error:
        raise UsageError(str(error)) from None
    return lambda pictures: backbone.extract(pictures, preprocessor.views)


def _predict_images(
    trained_model: TrainedModel, size: int, files: Sequence[Path], extract_features: Callable[[Images], RawInputs]
) -> Iterator[Prediction]:
    """Yield predictions for image files; one batch of images is in memory at a time."""
    decoded = map_in_order(lambda file: (file, read_pixels_or_error(file, size)), files)
    batch_size = max(1, min(IMAGE_BATCH_SIZE, MAX_BATCH_VALUES // (3 * size * size)))
    while batch := list(islice(decoded, batch_size)):
        yield from _predict_batch(trained_model, batch, extract_features)


def _predict_batch(
    trained_model: TrainedModel,
    batch: Sequence[tuple[Path, Pixels | str]],
    extract_features: Callable[[Images], RawInputs],
) -> Iterator[Prediction]:
    images = [picture for _, picture in batch if not isinstance(picture, str)]
    outputs = iter(trained_model.predict(extract_features(Images(np.stack(images)))) if images else ())
    for file, image_or_error in batch:
        if isinstance(image_or_error, str):
            yield Prediction(str(file), error=image_or_error, image_file=file)
        else:
            yield _to_prediction(trained_model, str(file), next(outputs), file)


def _predict_table(trained_model: TrainedModel, preprocessor: TableInputs, path: Path) -> Iterator[Prediction]:
    from pipeline.data.sources.table import read_table

    try:
        table, errors = read_table(path, preprocessor.numbers, preprocessor.categories)
    except DataError as error:
        yield Prediction(str(path), error=str(error).removeprefix(f"{path}: "))
        return
    outputs = track(trained_model.predict(table), f"answering {len(table):,} rows", len(table))
    for number, (reason, output) in enumerate(zip(errors, outputs, strict=True), start=1):
        name = f"{path} row {number}"
        yield Prediction(name, error=reason) if reason else _to_prediction(trained_model, name, output)


def _to_prediction(
    trained_model: TrainedModel, name: str, output: Tensor, image_file: Path | None = None
) -> Prediction:
    return Prediction(
        name, tuple(output.tolist()), trained_model.architecture.head.format_prediction(output), image_file=image_file
    )
