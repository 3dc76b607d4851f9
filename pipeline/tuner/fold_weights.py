"""The weights of a trial's fold networks, a file each in the study's folder: those of the best trial are saved."""

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load, save

from pipeline.models.networks import StateDict
from pipeline.runtime.files import make_folder, write_file


def weights_folder(folder: Path) -> Path:
    """Return the folder that holds a folder for the best trial, named by its number, in a study's folder."""
    return folder / "leader"


def save_fold_weights(folder: Path, fold_weights: Sequence[StateDict]) -> None:
    """Write a file for each fold into the folder of a trial."""
    make_folder(folder)
    for fold, weights in enumerate(fold_weights):
        write_file(_weights_file(folder, fold), save(weights))


def load_fold_weights(folder: Path, fold_count: int) -> list[StateDict]:
    """Return the weights of each fold from the folder of a trial; [] if they are not saved."""
    files = [_weights_file(folder, fold) for fold in range(fold_count)]
    return [load(file.read_bytes()) for file in files] if all(file.is_file() for file in files) else []


def _weights_file(folder: Path, fold: int) -> Path:
    return folder / f"fold_{fold}.safetensors"
