"""The data of each fold on the device, with constants fitted on its training rows alone."""

import math
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.data.examples import BackboneFeatures, Examples, Images
from pipeline.data.folds import Fold, Folds, Indices
from pipeline.models.heads import Head
from pipeline.preprocessing import Constants, FeatureInputs, ImageInputs, Inputs, TableInputs
from pipeline.preprocessing.backbone_activations import IndexedActivations
from pipeline.preprocessing.streamed import INPUT_MEMORY_SHARE, StreamedImages
from pipeline.runtime.errors import UserError
from pipeline.training.engine import FoldData

REFIT_FOLD_NUMBER = -1


class FoldDataBuilder:
    """Builder of fold data: images and features are one shared copy, tables are prepared for each fold."""

    def __init__(self, examples: Examples, inputs: Inputs, head: Head, device: torch.device) -> None:
        self.examples = examples
        self.inputs = inputs
        self.head = head
        self.device = device
        self.raw_inputs = inputs.map_categories(examples.inputs)
        self.targets = torch.from_numpy(np.array(examples.targets))
        self._shared_inputs: Tensor | StreamedImages | None = None

    def build_folds(self, folds: Folds) -> list[FoldData]:
        """Return the data of each fold; raises UserError if they exceed the device's memory."""
        self.check_memory(folds)
        return [self.build_fold(fold_number, fold) for fold_number, fold in enumerate(folds.folds)]

    def build_refit_data(self, rows: Indices) -> FoldData:
        """Return the data of a refit on all these rows, without validation."""
        return self.build_fold(REFIT_FOLD_NUMBER, Fold(rows, np.zeros(0, dtype=np.int64)))

    def fit_constants(self, rows: Indices) -> tuple[Constants, Constants]:
        """Return the constants of the inputs and of the targets of training rows, on the CPU."""
        return self.inputs.fit(self.raw_inputs, rows), self.head.fit(self.examples.targets[rows])

    def build_fold(self, fold_number: int, fold: Fold) -> FoldData:
        """Return the data of one fold."""
        targets = self.examples.targets[fold.train]
        fitted, target_constants = self.fit_constants(fold.train)
        input_constants = {name: value.to(self.device) for name, value in fitted.items()}
        inputs = self._inputs_to_device(input_constants)
        index_device = torch.device("cpu") if isinstance(inputs, StreamedImages) else self.device
        return FoldData(
            fold=fold_number,
            train=torch.from_numpy(fold.train).to(index_device),
            validation=torch.from_numpy(fold.validation).to(index_device),
            inputs=inputs,
            input_constants=input_constants,
            targets=self.head.encode_targets(self.targets, target_constants).to(self.device),
            target_constants=target_constants,
            output_bias=self.head.initial_output_bias(targets, target_constants),
            view_count=self.inputs.views if isinstance(self.inputs, FeatureInputs) else 1,
            backbone_activations=self._backbone_activations,
        )

    @cached_property
    def _backbone_activations(self) -> IndexedActivations | None:
        activations = self.raw_inputs.activations if isinstance(self.raw_inputs, BackboneFeatures) else None
        return None if activations is None else IndexedActivations(activations, self.device)

    def check_memory(self, folds: Folds, process_count: int = 1) -> None:
        """Raise UserError if the data of all folds in `process_count` processes exceed the free memory.

        Images need none: they stay memory-mapped, and are streamed to a GPU that cannot hold them.
        """
        if isinstance(self.inputs, ImageInputs):
            return
        copies = len(folds.folds) if isinstance(self.inputs, TableInputs) else 1
        needed_bytes = process_count * copies * self.inputs.device_bytes(len(self.examples))
        free_bytes = _free_bytes(self.device)
        if needed_bytes > free_bytes:
            shortage = f"needs {needed_bytes / 2**30:.1f} GiB; got {free_bytes / 2**30:.1f} GiB free"
            setting = _memory_setting(self.inputs)
            raise UserError(
                f"dataset: training keeps it in memory, which {shortage}; use fewer rows or fewer {setting}"
            )

    def _inputs_to_device(self, constants: dict[str, Tensor]) -> Tensor | StreamedImages:
        if isinstance(self.inputs, TableInputs):
            return self.inputs.to_device(self.raw_inputs, constants, self.device)
        if self._shared_inputs is None:
            is_streamable = isinstance(self.raw_inputs, Images) and self.device.type == "cuda"
            needed_bytes = self.inputs.device_bytes(len(self.examples))
            if is_streamable and needed_bytes >= INPUT_MEMORY_SHARE * _free_bytes(self.device):
                images = self.inputs.to_device(self.raw_inputs, constants, torch.device("cpu"))
                self._shared_inputs = StreamedImages(images, self.device)
            else:
                self._shared_inputs = self.inputs.to_device(self.raw_inputs, constants, self.device)
        return self._shared_inputs


def _memory_setting(inputs: Inputs) -> str:
    """Return the setting, or the two, that decide how much memory the inputs need."""
    if not isinstance(inputs, TableInputs):
        return "features.views"
    return "cv.folds or features.bins" if inputs.encoding == "piecewise" else "cv.folds"


def _free_bytes(device: torch.device) -> float:
    """Return the free memory of the device; infinity if the system does not report it."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    path = Path("/proc/meminfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), math.inf)
