"""What a fold trains on: data that do not fit are refused before anything is trained."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.config.heads import NumberConfig, SoftmaxConfig
from pipeline.config.model import Convolutions, Model
from pipeline.config.schema import Training
from pipeline.data.examples import Images
from pipeline.preprocessing.streamed import StreamedImages
from pipeline.runtime.errors import UserError
from pipeline.training import fold_data
from pipeline.training.engine import Member, StreamSeeds, build_stack
from pipeline.training.fold_data import FoldDataBuilder
from tests.conftest import picture_examples, question, table_examples


def test_refuses_what_does_not_fit_with_the_size_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full memory is made up."""
    asked = question(table_examples(80), NumberConfig("number", "identity", "l2", ""), "mean_absolute_error")
    needed = 3 * 80 * asked.task.inputs.feature_count * 4
    prepared = asked.fold_data_builder()
    monkeypatch.setattr(fold_data, "_free_bytes", lambda _: needed)
    assert len(prepared.build_folds(asked.splits)) == 3
    monkeypatch.setattr(fold_data, "_free_bytes", lambda _: needed - 1)
    said = r"training keeps it in memory, which needs 0\.0 GiB; got 0\.0 GiB free; use fewer rows or fewer cv\.folds"
    with pytest.raises(UserError, match=said):
        prepared.build_folds(asked.splits)


def test_pictures_stay_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file of the cache, as large as it may be."""
    examples = picture_examples(60)
    assert isinstance(examples.inputs, Images)
    np.save(tmp_path / "pixels.npy", examples.inputs.pixels)
    pixels = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    asked = question(replace(examples, inputs=Images(pixels)), SoftmaxConfig("softmax"), "accuracy")
    monkeypatch.setattr(fold_data, "_free_bytes", lambda _: 0)
    prepared = asked.fold_data_builder()
    for data in prepared.build_folds(asked.splits):
        assert isinstance(data.inputs, Tensor)
        assert data.inputs.data_ptr() == pixels.ctypes.data


@pytest.mark.parametrize("blocks", [None, Convolutions((4,), 3, "max")])
@pytest.mark.parametrize("shift", [0, 2])
def test_streamed_pictures_give_the_same_numbers(blocks: Convolutions | None, shift: int) -> None:
    asked = question(picture_examples(60), SoftmaxConfig("softmax"), "accuracy")
    device = asked.task.device.torch_device
    prepared = FoldDataBuilder(asked.examples, asked.task.inputs, asked.task.head, device)
    training = Training(3, 16, 0.01, 0.1, "adamw", None, flip=shift > 0, shift=shift)
    found = []
    for lie in (lambda inputs: inputs, lambda inputs: StreamedImages(inputs, device)):
        folds = [replace(data, inputs=lie(data.inputs)) for data in prepared.build_folds(asked.splits)]
        members = [Member(Model((8, 4), "relu", 0.3, blocks), training, StreamSeeds(1, 2), data) for data in folds]
        networks = build_stack(members, asked.task.inputs, asked.task.head, "fp32")
        losses = [networks.train_epoch(epoch) for epoch in range(3)]
        found.append([*losses, *networks.validate(), *networks.state_dict(0).values()])
    assert all(torch.equal(resident, streamed) for resident, streamed in zip(*found, strict=True))
