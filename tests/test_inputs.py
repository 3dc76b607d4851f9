"""What a network reads: learned from training rows alone, one layout for all folds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline import inputs
from pipeline.data.examples import Table
from pipeline.inputs import TableInputs
from tests.conftest import picture_examples, table_examples

CPU = torch.device("cpu")


def prepared(table: Table, layout: inputs.Inputs, rows: np.ndarray) -> torch.Tensor:
    recoded = layout.recode(table)
    return layout.resident(recoded, layout.learn(recoded, rows), CPU)


def test_pictures_are_scaled_by_the_training_rows() -> None:
    examples = picture_examples()
    layout, rows = inputs.describe(examples, np.arange(60)), np.arange(40)
    constants = layout.learn(examples.inputs, rows)
    batch = layout.batch(layout.resident(examples.inputs, constants, CPU)[torch.from_numpy(rows)], constants)
    assert batch.shape == (40, layout.features)
    assert layout.features == 3 * 8 * 8
    channels = batch.view(40, 3, -1)
    assert channels.mean(dim=(0, 2)).tolist() == pytest.approx([0, 0, 0], abs=1e-4)
    assert channels.std(dim=(0, 2), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-4)


def test_numbers_are_standardised_and_missing_ones_imputed_and_flagged() -> None:
    examples = table_examples()
    rows = np.arange(50)
    layout = inputs.describe(examples, rows)
    assert isinstance(layout, TableInputs)
    assert layout.flagged == ("age",)
    table = prepared(examples.inputs, layout, rows)
    assert table.shape == (80, layout.features) == (80, 2 + 1 + 5)
    assert table[rows, 0].mean().item() == pytest.approx(0, abs=1e-5)
    missing = np.isnan(examples.inputs.numbers[:, 1])
    assert (table[:, 2].numpy() == missing).all()
    assert len(set(table[missing, 1].tolist())) == 1


def test_categories_are_one_hot_and_never_a_number() -> None:
    examples = table_examples()
    table = prepared(examples.inputs, inputs.describe(examples, np.arange(80)), np.arange(80))
    assert (table[:, 3:].sum(dim=1) == 1).all()
    assert (table[:, 3:].argmax(dim=1).numpy() == examples.inputs.codes[:, 0]).all()


def test_level_not_seen_in_training_counts_as_missing() -> None:
    examples = table_examples()
    raw = examples.inputs
    layout = inputs.describe(examples, np.arange(80))
    without = np.flatnonzero(raw.codes[:, 0] != 2)
    table = prepared(raw, layout, without)
    unseen = raw.codes[:, 0] == 2
    assert (table[unseen, -1] == 1).all()
    assert (table[~unseen, -1] == 0).all()


def test_levels_of_a_new_table_are_matched_by_name() -> None:
    examples = table_examples()
    layout = inputs.describe(examples, np.arange(80))
    new = Table(np.ones((3, 2), np.float32), ("size", "age"), np.array([[0], [1], [-1]]), ("zip",), (("30", "99"),))
    assert layout.recode(new).codes[:, 0].tolist() == [2, -1, -1]


def test_nothing_of_other_rows_changes_what_is_learned() -> None:
    examples, rows = table_examples(), np.arange(40)
    layout = inputs.describe(examples, np.arange(80))
    changed = examples.inputs.numbers.copy()
    changed[40:] = 1e6
    one = layout.learn(layout.recode(examples.inputs), rows)
    other = layout.learn(layout.recode(replace(examples.inputs, numbers=changed)), rows)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_constants_have_the_shapes_they_say() -> None:
    for examples in (picture_examples(), table_examples()):
        layout = inputs.describe(examples, np.arange(40))
        constants = layout.learn(layout.recode(examples.inputs), np.arange(40))
        assert {name: tuple(value.shape) for name, value in constants.items()} == layout.constant_shapes()
