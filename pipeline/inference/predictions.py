"""An answer for each picture or table row, one after the other as they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from torch import Tensor

from pipeline.artifact import model_files
from pipeline.artifact.model_files import TrainedModel
from pipeline.data.examples import DataError, Pictures, Raw
from pipeline.data.images.decode import Pixels, decode_or_reason
from pipeline.data.images.discovery import listed, others_below
from pipeline.data.images.safe_open import FORMATS
from pipeline.inference.arguments import Words
from pipeline.preprocessing import FeatureInputs, TableInputs
from pipeline.runtime.arguments import UsageError
from pipeline.runtime.parallel import in_order
from pipeline.runtime.progress_bars import watched

BATCH, NUMBERS = 256, 2**24  # pictures that the network sees at once, and how many numbers they are at the most


@dataclass(frozen=True)
class Answer:
    """One row of the answers: the numbers of the head's columns and what they say, or why there is none.

    picture: the file, where it is one.
    """

    name: str
    values: tuple[float, ...] = ()
    answer: str = ""
    error: str = ""
    picture: Path | None = None


@dataclass(frozen=True)
class Asked:
    """What is to be answered for: the paths as typed; for a model of pictures the files and folders without one.

    passed_over: how many files of the folders are no pictures.
    """

    paths: tuple[Path, ...]
    pictures: tuple[Path, ...] = ()
    empty: tuple[Path, ...] = ()
    passed_over: int = 0

    @classmethod
    def of(cls, trained: TrainedModel, paths: Sequence[Path]) -> Asked:
        """Looks into the folders; raises OSError where a name is too long."""
        if isinstance(trained.architecture.inputs, TableInputs):
            return cls(tuple(paths))
        folders = [path for path in paths if path.is_dir()]
        empty = tuple(folder for folder in folders if not listed([folder]))
        return cls(tuple(paths), tuple(listed(paths)), empty, sum(map(others_below, folders)))


def load(name: str, store: Path) -> TrainedModel:
    """The model from a folder's two files or from the registry; raises UsageError where there is none."""
    try:
        if Path(name).is_dir():
            return model_files.read(Path(name))
        if "/" in name and not name.startswith("models:/"):
            raise UsageError(f"model: a folder that exists; got {name}")
        from pipeline.tracking.client import fetched

        with fetched(name if name.startswith("models:/") else f"models:/{name}@champion", store) as folder:
            return model_files.read(folder)
    except (model_files.ModelError, LookupError) as error:
        raise UsageError(f"model: {error.args[0]}") from None
    except DataError as error:  # a part of a backbone, whose package is not there
        raise UsageError(str(error)) from None


def answers(trained: TrainedModel, words: Words, asked: Asked) -> Generator[Answer, None, None]:
    """An answer for each picture or table row, in the order of the paths; what cannot be answered says why.

    Raises UsageError where the model's backbone is not at hand.
    """
    layout = trained.architecture.inputs
    if isinstance(layout, TableInputs):
        for path in asked.paths:
            yield from _rows(trained, layout, path)
        return
    seen = _backbone(trained, layout, words) if isinstance(layout, FeatureInputs) else _as_they_are
    for folder in asked.empty:
        yield Answer(str(folder), error=f"no picture in this folder ({FORMATS})")
    yield from watched(_pictures(trained, layout.size, asked.pictures, seen), "answering", len(asked.pictures))


def _as_they_are(pictures: Pictures) -> Raw:
    return pictures


def _backbone(trained: TrainedModel, layout: FeatureInputs, words: Words) -> Callable[[Pictures], Raw]:
    """What the model's backbone makes of pictures; raises UsageError where it, or its weights, are not at hand."""
    from pipeline.models.backbones import Frozen

    try:
        frozen = Frozen.of_model(layout, trained.architecture.model.tail, words.weights, words.store / "cache")
        _ = frozen.body  # made now: what it lacks is known before the first answer
    except DataError as error:
        raise UsageError(str(error)) from None
    return lambda pictures: frozen.look(pictures, layout.views)


def _pictures(
    trained: TrainedModel, size: int, files: Sequence[Path], seen: Callable[[Pictures], Raw]
) -> Iterator[Answer]:
    """seen: what the network reads of the pictures. A batch of them is held at a time."""
    decoded = in_order(lambda file: (file, decode_or_reason(file, size)), files)
    batch = max(1, min(BATCH, NUMBERS // (3 * size * size)))
    while some := list(islice(decoded, batch)):
        yield from _batch(trained, some, seen)


def _batch(
    trained: TrainedModel, some: Sequence[tuple[Path, Pixels | str]], seen: Callable[[Pictures], Raw]
) -> Iterator[Answer]:
    good = [picture for _, picture in some if not isinstance(picture, str)]
    answered = iter(trained.answers(seen(Pictures(np.stack(good)))) if good else ())
    for file, picture in some:
        if isinstance(picture, str):
            yield Answer(str(file), error=picture, picture=file)
        else:
            yield _answer(trained, str(file), next(answered), file)


def _rows(trained: TrainedModel, layout: TableInputs, path: Path) -> Iterator[Answer]:
    from pipeline.data.sources.table import read_rows

    try:
        rows, errors = read_rows(path, layout.numbers, layout.categories)
    except DataError as error:
        yield Answer(str(path), error=str(error).removeprefix(f"{path}: "))
        return
    answered = watched(trained.answers(rows), f"answering {len(rows):,} rows", len(rows))
    for number, (reason, row) in enumerate(zip(errors, answered, strict=True), start=1):
        name = f"{path} row {number}"
        yield Answer(name, error=reason) if reason else _answer(trained, name, row)


def _answer(trained: TrainedModel, name: str, row: Tensor, picture: Path | None = None) -> Answer:
    return Answer(name, tuple(row.tolist()), trained.architecture.head.words(row), picture=picture)
