"""From examples and folds to what each fold trains on, all of it learned from its training rows alone."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.data.examples import DataError, Examples, Features, Pictures
from pipeline.data.folds import Fold, Folds, Rows
from pipeline.models.heads import Head
from pipeline.preprocessing import FeatureInputs, Inputs, PictureInputs, TableInputs
from pipeline.preprocessing.backbone_activations import DeepRows
from pipeline.preprocessing.streamed import SHARE, Streamed
from pipeline.training.engine import FoldData

REFIT = -1


class Preparation:
    """Makes the data of folds; pictures and features stay one shared copy, tables are prepared for each fold."""

    def __init__(self, examples: Examples, inputs: Inputs, head: Head, device: torch.device) -> None:
        self.examples, self.inputs, self.head, self.device = examples, inputs, head, device
        self.raw = inputs.recode(examples.inputs)
        self.targets = torch.from_numpy(np.array(examples.targets))
        self._shared: Tensor | Streamed | None = None

    def folds(self, folds: Folds) -> list[FoldData]:
        """The data of each fold; raises DataError where they do not fit into the device's memory."""
        self.check(folds)
        return [self.fold_data(number, fold) for number, fold in enumerate(folds.folds)]

    def all_rows(self, rows: Rows) -> FoldData:
        """For a refit, which trains on all these rows and validates nothing."""
        return self.fold_data(REFIT, Fold(rows, np.zeros(0, dtype=np.int64)))

    def fold_data(self, number: int, fold: Fold) -> FoldData:
        """The data of one split."""
        targets = self.examples.targets[fold.train]
        input_constants = {
            name: value.to(self.device) for name, value in self.inputs.learn(self.raw, fold.train).items()
        }
        target_constants, inputs = self.head.learn(targets), self._resident(input_constants)
        where = torch.device("cpu") if isinstance(inputs, Streamed) else self.device
        return FoldData(
            fold=number,
            train=torch.from_numpy(fold.train).to(where),
            validation=torch.from_numpy(fold.validation).to(where),
            inputs=inputs,
            input_constants=input_constants,
            targets=self.head.encode(self.targets, target_constants).to(self.device),
            target_constants=target_constants,
            output_bias=self.head.first_bias(targets, target_constants),
            views=self.inputs.views if isinstance(self.inputs, FeatureInputs) else 1,
            deep=self._deep,
        )

    @cached_property
    def _deep(self) -> DeepRows | None:
        raw = self.raw
        return DeepRows(raw.deep, self.device) if isinstance(raw, Features) and raw.deep is not None else None

    def check(self, folds: Folds, processes: int = 1) -> None:
        """Raises DataError where the data of all folds, in so many processes, do not fit into the memory.

        Pictures need none: they stay where they lie, and are streamed to a GPU that cannot hold them.
        """
        if isinstance(self.inputs, PictureInputs):
            return
        copies = len(folds.folds) if isinstance(self.inputs, TableInputs) else 1
        needed = processes * copies * self.inputs.bytes(len(self.examples))
        free = _free_bytes(self.device)
        if needed > free:
            there = f"needs {needed / 2**30:.1f} GiB; got {free / 2**30:.1f} GiB free"
            fewer = "cv.folds" if isinstance(self.inputs, TableInputs) else "features.views"
            raise DataError(f"dataset: training keeps it in memory, which {there}; use fewer rows or fewer {fewer}")

    def _resident(self, constants: dict[str, Tensor]) -> Tensor | Streamed:
        if isinstance(self.inputs, TableInputs):
            return self.inputs.resident(self.raw, constants, self.device)
        if self._shared is None:
            self._shared = self._streamed() or self.inputs.resident(self.raw, constants, self.device)
        return self._shared

    def _streamed(self) -> Streamed | None:
        """Pictures that do not fit on the GPU."""
        there = isinstance(self.raw, Pictures) and self.device.type == "cuda"
        if not there or self.inputs.bytes(len(self.examples)) < SHARE * _free_bytes(self.device):
            return None
        return Streamed(self.inputs.resident(self.raw, {}, torch.device("cpu")), self.device)


def _free_bytes(device: torch.device) -> float:
    """What the device has left; infinity where the system does not say."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    file = Path("/proc/meminfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), math.inf)
