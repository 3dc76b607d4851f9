"""Splits: what is held out, what trains, what judges."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.schema import CrossValidationConfig
from pipeline.data.examples import DataError
from pipeline.data.folds import make_folds
from tests.conftest import picture_examples, table_examples


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(30, 120), folds=st.integers(2, 6), repeats=st.integers(1, 3), seed=st.integers(0, 99))
def test_folds_partition_the_development_rows(rows: int, folds: int, repeats: int, seed: int) -> None:
    splits = make_folds(picture_examples(rows), CrossValidationConfig(folds, repeats, 0.2), seed)
    assert sorted([*splits.test, *splits.development]) == list(range(rows))
    assert len(splits.folds) == folds * repeats
    for fold in splits.folds:
        assert sorted([*fold.train, *fold.validation]) == list(splits.development)
    judged = np.concatenate([fold.validation for fold in splits.folds[:folds]])
    assert sorted(judged) == list(splits.development)


def test_classes_keep_their_shares_in_every_fold() -> None:
    examples = picture_examples(150)
    for fold in make_folds(examples, CrossValidationConfig(5, 1, 0.2), 0).folds:
        assert list(np.bincount(examples.targets[fold.validation])) == [8, 8, 8]


def test_numbers_keep_their_spread_in_every_fold() -> None:
    examples = table_examples(500)
    splits = make_folds(examples, CrossValidationConfig(5, 1, 0.2), 0)
    means = [examples.targets[fold.validation].mean() for fold in splits.folds]
    assert max(means) - min(means) < 0.5 * examples.targets.std()


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_groups_never_straddle_a_split(kind: str) -> None:
    examples = picture_examples(90) if kind == "classes" else table_examples(90)
    examples = replace(examples, groups=np.arange(90) // 3)
    splits = make_folds(examples, CrossValidationConfig(4, 2, 0.25), 1)
    groups = examples.groups
    assert not set(groups[splits.test]) & set(groups[splits.development])
    for fold in splits.folds:
        assert not set(groups[fold.train]) & set(groups[fold.validation])


def test_own_test_part_is_the_test_part_and_its_copies_are_left_out() -> None:
    examples = picture_examples(60)
    test = np.arange(60) >= 45
    groups = np.arange(60)
    groups[3] = groups[50]  # a training picture that is also in the test part
    splits = make_folds(replace(examples, test_mask=test, groups=groups), CrossValidationConfig(3, 1, 0.2), 0)
    assert list(splits.test) == list(range(45, 60))
    assert list(splits.excluded) == [3]
    assert 3 not in splits.development


def test_same_seed_same_splits_and_another_seed_others() -> None:
    examples, cv = picture_examples(), CrossValidationConfig(3, 1, 0.2)
    assert make_folds(examples, cv, 1).fingerprint == make_folds(examples, cv, 1).fingerprint
    assert make_folds(examples, cv, 1).fingerprint != make_folds(examples, cv, 2).fingerprint


def test_refuses_class_with_fewer_rows_than_folds_and_names_it() -> None:
    examples = picture_examples(60)
    rare = replace(examples, targets=np.where(np.arange(60) < 4, 2, np.arange(60) % 2))
    with pytest.raises(DataError, match=r"cv\.folds=5 needs 5 rows of each class .* c has 3"):
        make_folds(rare, CrossValidationConfig(5, 1, 0.2), 0)


def test_refuses_fewer_groups_than_folds() -> None:
    examples = replace(picture_examples(60), groups=np.arange(60) // 10)
    with pytest.raises(DataError, match="needs as many independent rows; got 4 outside the test rows: add examples"):
        make_folds(examples, CrossValidationConfig(5, 1, 0.2), 0)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_refuses_so_few_rows_that_none_are_left_to_test(rows: int) -> None:
    few = table_examples(rows)
    with pytest.raises(DataError, match=rf"cv\.folds=5 needs more independent rows than that.* got {rows}: add"):
        make_folds(few, CrossValidationConfig(5, 1, 0.2), 0)


def test_refuses_data_set_that_is_all_test_rows() -> None:
    examples = replace(picture_examples(60), test_mask=np.ones(60, dtype=bool))
    with pytest.raises(DataError, match="needs as many independent rows; got 0 outside the test rows"):
        make_folds(examples, CrossValidationConfig(2, 1, 0.2), 0)


def test_refuses_label_that_fewer_rows_have_or_lack_than_there_are_folds() -> None:
    examples, row = picture_examples(60), np.arange(60)
    targets = np.stack([row % 2, row < 2, row >= 2], axis=1).astype(np.float32)
    labels = replace(examples, targets=targets, target_kind="labels", test_mask=row >= 50)
    with pytest.raises(DataError, match="5 rows with each label, and without it") as refused:
        make_folds(labels, CrossValidationConfig(5, 1, 0.2), 0)
    assert "got: b has 2 and 48 without, c has 48 and 2 without; add examples, leave the label out" in str(
        refused.value
    )
    assert make_folds(
        replace(labels, targets=targets[:, :1], classes=("a",)), CrossValidationConfig(5, 1, 0.2), 0
    ).folds
