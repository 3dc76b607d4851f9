"""What a fold trains on: data that do not fit are refused before anything is trained."""

import pytest

from pipeline import preparation
from pipeline.config import schema
from pipeline.data.examples import DataError
from pipeline.preparation import Preparation
from tests.conftest import picture_examples, question, table_examples


@pytest.mark.parametrize("kind", ["pictures", "table"])
def test_refuses_what_does_not_fit_with_the_size_needed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full memory is made up."""
    if kind == "pictures":
        asked = question(picture_examples(60), schema.Softmax("softmax"), "accuracy")
        needed = 60 * 3 * 8 * 8
    else:
        asked = question(table_examples(80), schema.Number("number", "identity", "l2", ""), "mean_absolute_error")
        needed = 3 * 80 * asked.inputs.features * 4
    prepared = Preparation(asked.examples, asked.inputs, asked.head, asked.task.device.torch)
    monkeypatch.setattr(preparation, "_free_bytes", lambda _: needed)
    assert len(prepared.folds(asked.splits)) == 3
    monkeypatch.setattr(preparation, "_free_bytes", lambda _: needed - 1)
    with pytest.raises(DataError, match=r"training keeps it in memory, which needs 0\.0 GiB; got 0\.0 GiB free"):
        prepared.folds(asked.splits)
