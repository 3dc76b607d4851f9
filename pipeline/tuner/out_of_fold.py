"""Out-of-fold predictions of a trial: for each validation row, that of the fold network which did not train on it."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pipeline.runtime.files import make_folder, write_file
from pipeline.training.checkpoints import compute_digest


def predictions_file(folder: Path, trial_number: int) -> Path:
    """Return the file of a trial's predictions, in a study's folder."""
    return folder / "out_of_fold" / f"{trial_number}.safetensors"


def save_out_of_fold(file: Path, predictions: Sequence[Tensor]) -> None:
    """Write the predictions of each fold with their SHA-256; raises FileWriteError."""
    named = {str(fold): each.contiguous() for fold, each in enumerate(predictions)}
    make_folder(file.parent)
    write_file(file, save(named, {"sha256": compute_digest("", named)}))


def load_out_of_fold(file: Path) -> list[Tensor]:
    """Return the predictions of each fold; [] if the file is missing or damaged."""
    with suppress(SafetensorError, OSError, KeyError), safe_open(file, "pt") as content:
        names = content.keys()
        named = {name: content.get_tensor(name) for name in names}
        if content.metadata()["sha256"] == compute_digest("", named):
            return [named[str(fold)] for fold in range(len(named))]
    return []
