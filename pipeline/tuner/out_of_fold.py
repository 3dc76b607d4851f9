"""Out-of-fold predictions of a trial: for each validation row, that of the fold network which did not train on it."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pipeline.artifact.architecture import build_architecture
from pipeline.artifact.model_files import TrainedModel
from pipeline.config.model import Model
from pipeline.models.networks import StateDict
from pipeline.runtime.files import make_folder, write_file
from pipeline.study.problem import Problem


def predictions_file(folder: Path, trial_number: int) -> Path:
    """Return the file of a trial's predictions, in a study's folder."""
    return folder / "out_of_fold" / f"{trial_number}.safetensors"


def predict_out_of_fold(problem: Problem, model: Model, fold_weights: Sequence[StateDict]) -> list[Tensor]:
    """Return the predictions of the validation rows of each fold, float32 [V, columns]."""
    architecture = build_architecture("", problem.task.inputs, model, problem.task.head)
    builder = problem.fold_data_builder()
    predictions = []
    for fold, weights in zip(problem.splits.folds, fold_weights, strict=True):
        trained = TrainedModel.from_network(architecture, weights, *builder.fit_constants(fold.train))
        predictions.append(trained.predict(problem.examples.inputs.take(fold.validation)))
    return predictions


def save_out_of_fold(file: Path, predictions: Sequence[Tensor]) -> None:
    """Write the predictions of each fold with their SHA-256; raises FileWriteError."""
    named = {str(fold): each.contiguous() for fold, each in enumerate(predictions)}
    make_folder(file.parent)
    write_file(file, save(named, {"sha256": _compute_digest(named)}))


def load_out_of_fold(file: Path) -> list[Tensor]:
    """Return the predictions of each fold; [] if the file is missing or damaged."""
    with suppress(SafetensorError, OSError, KeyError), safe_open(file, "pt") as content:
        names = content.keys()
        named = {name: content.get_tensor(name) for name in names}
        if content.metadata()["sha256"] == _compute_digest(named):
            return [named[str(fold)] for fold in range(len(named))]
    return []


def _compute_digest(named: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(named.items()):
        digest.update(name.encode())
        digest.update(value.numpy().data)
    return digest.hexdigest()
