"""What a network reads: learned from training rows alone, one layout for all folds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline import preprocessing
from pipeline.data.examples import BackboneFeatures, Images, Table
from pipeline.preprocessing import TableInputs
from tests.conftest import picture_examples, table_examples

CPU = torch.device("cpu")


def prepared(table: Table, layout: preprocessing.Inputs, rows: np.ndarray) -> torch.Tensor:
    recoded = layout.map_categories(table)
    return layout.to_device(recoded, layout.fit(recoded, rows), CPU)


def test_pictures_are_scaled_by_the_training_rows() -> None:
    examples = picture_examples()
    layout, rows = preprocessing.build_inputs(examples, np.arange(60)), np.arange(40)
    constants = layout.fit(examples.inputs, rows)
    batch = layout.prepare_batch(layout.to_device(examples.inputs, constants, CPU)[torch.from_numpy(rows)], constants)
    assert batch.shape == (40, layout.feature_count)
    assert layout.feature_count == 3 * 8 * 8
    channels = batch.view(40, 3, -1)
    assert channels.mean(dim=(0, 2)).tolist() == pytest.approx([0, 0, 0], abs=1e-4)
    assert channels.std(dim=(0, 2), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-4)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 128, 150])
def test_pictures_are_counted_to_the_number_however_many_there_are(count: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 3, 8, 8), dtype=np.uint8)
    rows = np.random.default_rng(1).permutation(200)[:count]
    learned = preprocessing.ImageInputs("pictures", 8).fit(Images(pixels), rows)
    counts = np.stack([np.bincount(pixels[rows, channel].reshape(-1), minlength=256) for channel in range(3)])
    mean = counts / counts.sum(1, keepdims=True) @ np.arange(256)
    spread = np.sqrt(counts / counts.sum(1, keepdims=True) @ np.arange(256) ** 2 - mean**2)
    assert np.array_equal(learned["input.mean"].numpy(), mean.astype(np.float32))
    assert np.array_equal(learned["input.spread"].numpy(), spread.astype(np.float32))


def test_features_are_scaled_by_all_views_of_the_training_rows() -> None:
    views = tuple(np.random.default_rng(seed).normal(seed, 2, (50, 4)).astype(np.float32) for seed in (1, 2, 3))
    layout, rows = preprocessing.FeatureInputs("features", "resnet18", "0" * 64, 224, 3, 4), np.arange(0, 50, 2)
    learned = layout.fit(BackboneFeatures(views, "resnet18", "0" * 64, 224), rows)
    every = np.concatenate([view[rows] for view in views]).astype(np.float64)
    assert learned["input.mean"].numpy() == pytest.approx(every.mean(axis=0), rel=1e-6)
    assert learned["input.spread"].numpy() == pytest.approx(every.std(axis=0), rel=1e-6)


def test_levels_are_those_of_the_rows_in_the_table_s_order() -> None:
    table = Table(np.zeros((5, 0), np.float32), (), np.array([[2], [-1], [0], [2], [1]]), ("c",), (("a", "b", "c"),))
    examples = replace(table_examples(5), inputs=table)
    layout = preprocessing.build_inputs(examples, np.array([0, 1, 2, 3]))
    assert isinstance(layout, TableInputs)
    assert layout.levels == (("a", "c"),)


def test_numbers_are_standardised_and_missing_ones_imputed_and_flagged() -> None:
    examples = table_examples()
    rows = np.arange(50)
    layout = preprocessing.build_inputs(examples, rows)
    assert isinstance(layout, TableInputs)
    assert layout.flagged == ("age",)
    table = prepared(examples.inputs, layout, rows)
    assert table.shape == (80, layout.feature_count) == (80, 2 + 1 + 5)
    assert table[rows, 0].mean().item() == pytest.approx(0, abs=1e-5)
    missing = np.isnan(examples.inputs.numbers[:, 1])
    assert (table[:, 2].numpy() == missing).all()
    assert len(set(table[missing, 1].tolist())) == 1


def test_categories_are_one_hot_and_never_a_number() -> None:
    examples = table_examples()
    table = prepared(examples.inputs, preprocessing.build_inputs(examples, np.arange(80)), np.arange(80))
    assert (table[:, 3:].sum(dim=1) == 1).all()
    assert (table[:, 3:].argmax(dim=1).numpy() == examples.inputs.codes[:, 0]).all()


def test_level_not_seen_in_training_counts_as_missing() -> None:
    examples = table_examples()
    raw = examples.inputs
    layout = preprocessing.build_inputs(examples, np.arange(80))
    without = np.flatnonzero(raw.codes[:, 0] != 2)
    table = prepared(raw, layout, without)
    unseen = raw.codes[:, 0] == 2
    assert (table[unseen, -1] == 1).all()
    assert (table[~unseen, -1] == 0).all()


def test_levels_of_a_new_table_are_matched_by_name() -> None:
    examples = table_examples()
    layout = preprocessing.build_inputs(examples, np.arange(80))
    new = Table(np.ones((3, 2), np.float32), ("size", "age"), np.array([[0], [1], [-1]]), ("zip",), (("30", "99"),))
    assert layout.map_categories(new).codes[:, 0].tolist() == [2, -1, -1]


def test_nothing_of_other_rows_changes_what_is_learned() -> None:
    examples, rows = table_examples(), np.arange(40)
    layout = preprocessing.build_inputs(examples, np.arange(80))
    changed = examples.inputs.numbers.copy()
    changed[40:] = 1e6
    one = layout.fit(layout.map_categories(examples.inputs), rows)
    other = layout.fit(layout.map_categories(replace(examples.inputs, numbers=changed)), rows)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_constants_have_the_shapes_they_say() -> None:
    for examples in (picture_examples(), table_examples()):
        layout = preprocessing.build_inputs(examples, np.arange(40))
        constants = layout.fit(layout.map_categories(examples.inputs), np.arange(40))
        assert {name: tuple(value.shape) for name, value in constants.items()} == layout.constant_shapes()
