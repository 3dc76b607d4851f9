"""Numbers of a table in quantile bins: the published formula, bounded, without a NaN whatever the column holds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.preprocessing import QuantileTransformer

from pipeline import preprocessing
from pipeline.config.schema import NumberEncoding
from pipeline.data.examples import Examples, Table
from pipeline.preprocessing import TableInputs, quantile_bins
from tests.conftest import table_examples

CPU = torch.device("cpu")


def of_columns(*columns: np.ndarray) -> Examples:
    """Return examples with these number columns and no categories."""
    numbers = np.stack(columns, axis=1).astype(np.float32)
    names = tuple(f"n{column}" for column in range(len(columns)))
    table = Table(numbers, names, np.zeros((len(numbers), 0), np.int64), (), ())
    return replace(table_examples(len(numbers)), inputs=table)


def encoded(
    examples: Examples, encoding: NumberEncoding, bins: int = 32, rows: np.ndarray | None = None
) -> tuple[TableInputs, np.ndarray]:
    """Return the layout and the features of all rows, with constants of some of them."""
    rows = np.arange(len(examples)) if rows is None else rows
    layout = preprocessing.build_inputs(examples, np.arange(len(examples)), encoding, bins)
    assert isinstance(layout, TableInputs)
    recoded = layout.map_categories(examples.inputs)
    features = layout.to_device(recoded, layout.fit(recoded, rows), CPU)
    assert features.shape == (len(examples), layout.feature_count)
    return layout, features.numpy()


def test_components_are_those_of_the_paper_with_bounded_outer_bins() -> None:
    column = np.random.default_rng(0).lognormal(size=500).astype(np.float32)
    _, features = encoded(of_columns(column), "piecewise", bins=8)
    edges = np.quantile(column.astype(np.float64), np.linspace(0, 1, 9))
    expected = np.clip((column[:, None] - edges[:-1]) / np.diff(edges), 0, 1)
    assert features[:, 1:] == pytest.approx(expected, abs=1e-5)


def test_number_beside_the_bins_is_standardized_and_smoothly_clipped() -> None:
    column = np.random.default_rng(0).normal(3, 2, 400).astype(np.float32)
    column[0] = 1e6
    _, features = encoded(of_columns(column), "piecewise", bins=4)
    standardized = (column - column.mean(dtype=np.float64)) / column.std(dtype=np.float64)
    assert features[:, 0] == pytest.approx(standardized / np.sqrt(1 + (standardized / 3) ** 2), abs=1e-5)
    assert np.abs(features[:, 0]).max() < 3


@pytest.mark.parametrize("encoding", ["quantile", "piecewise"])
def test_number_beyond_the_training_rows_is_the_outermost_of_them(encoding: NumberEncoding) -> None:
    column = np.append(np.linspace(0, 1, 100), [-5.0, 20.0, -3e38, 3e38])
    layout, features = encoded(of_columns(column), encoding, rows=np.arange(100))
    bins = features[:, 1:] if encoding == "piecewise" else features
    assert np.array_equal(bins[100:], bins[[0, 99, 0, 99]])
    if encoding == "piecewise":
        assert bins[[0, 99]].tolist() == [[0] * 32, [1] * 32]
        assert features[102:, 0] == pytest.approx([-3, 3])
    assert layout.bins == (32,)


@pytest.mark.parametrize("distribution", ["normal", "uniform", "exponential", "lognormal"])
def test_quantiles_map_to_a_normal_distribution_as_scikit_learn_maps_them(distribution: str) -> None:
    column = getattr(np.random.default_rng(0), distribution)(size=3000).astype(np.float32)
    _, features = encoded(of_columns(column), "quantile")
    reference = QuantileTransformer(n_quantiles=3000, output_distribution="normal", subsample=None)
    expected = reference.fit_transform(column[:, None].astype(np.float64))
    inner = np.abs(expected) < 2.4
    assert inner.mean() > 0.98
    assert features[inner] == pytest.approx(expected[inner], abs=0.1)
    assert np.abs(features).max() == pytest.approx(3.59, abs=0.01)  # of 1/6000, where scikit-learn has 5.2
    order = np.argsort(column)
    assert (np.diff(features[order, 0]) >= 0).all()


def test_equal_values_have_the_score_of_their_middle_rank() -> None:
    column = np.repeat([0.0, 1.0], [70, 30])
    _, features = encoded(of_columns(column), "quantile")
    assert features[[0, 99], 0] == pytest.approx(torch.special.ndtri(torch.tensor([0.35, 0.85])).numpy(), abs=1e-6)


def test_column_has_no_more_bins_than_steps_between_its_values() -> None:
    rows = np.arange(100)
    examples = of_columns(rows % 2, rows % 5, np.full(100, 7.0), rows, np.full(100, np.nan))
    layout, features = encoded(examples, "piecewise", bins=16)
    assert layout.bins == (1, 4, 0, 16, 0)
    assert features[:, 6].tolist() == (rows % 2).tolist()
    assert np.array_equal(features[:, 7:11], (rows % 5)[:, None] > np.arange(4))


def test_bins_that_repeated_values_leave_empty_are_zero_in_every_row() -> None:
    column = np.concatenate([np.zeros(80), np.arange(20)])
    _, features = encoded(of_columns(column), "piecewise", bins=10)
    used = (features[:, 1:] != 0).any(axis=0)
    assert used.tolist() == [True, True] + [False] * 8
    assert np.isfinite(features).all()


def test_missing_number_is_in_no_bin_but_its_flag() -> None:
    column = np.arange(40.0)
    column[::4] = np.nan
    layout, features = encoded(of_columns(column), "piecewise", bins=4)
    assert layout.flagged == ("n0",)
    assert features[::4, 1:].tolist() == [[1, 0, 0, 0, 0]] * 10
    assert (features[1::4, 1] == 0).all()


def test_missing_number_without_a_flag_is_in_the_bins_of_the_median() -> None:
    column = np.arange(41.0)
    examples = of_columns(column)
    layout, _ = encoded(examples, "piecewise", bins=4)
    constants = layout.fit(examples.inputs, np.arange(41))
    numbers = torch.tensor([[torch.nan], [20.0]])
    features = layout.transform(numbers, torch.zeros(2, 0, dtype=torch.int64), constants)
    assert torch.equal(features[0], features[1])


def test_constants_have_the_shapes_they_say_and_learn_from_their_rows_alone() -> None:
    examples = table_examples()
    rows = np.arange(40)
    changed = examples.inputs.numbers.copy()
    changed[40:] = 1e6
    for encoding in ("quantile", "piecewise"):
        layout = preprocessing.build_inputs(examples, np.arange(80), encoding, 8)
        constants = layout.fit(layout.map_categories(examples.inputs), rows)
        others = layout.fit(layout.map_categories(replace(examples.inputs, numbers=changed)), rows)
        assert {name: tuple(value.shape) for name, value in constants.items()} == layout.constant_shapes()
        assert all(torch.equal(constants[name], others[name]) for name in constants)


def test_chunks_of_rows_give_the_same_features(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = table_examples()
    for encoding in ("standard", "quantile", "piecewise"):
        _, whole = encoded(examples, encoding)
        monkeypatch.setattr("pipeline.preprocessing.table.MAX_CHUNK_VALUES", 300)
        _, chunked = encoded(examples, encoding)
        monkeypatch.undo()
        assert np.array_equal(whole, chunked)


@settings(max_examples=200, deadline=None)
@given(
    values=arrays.arrays(np.float32, st.integers(2, 40), elements=st.floats(width=32, allow_infinity=False)),
    cut=st.integers(1, 40),
    bins=st.integers(2, 9),
)
def test_any_finite_or_missing_numbers_give_bounded_features(values: np.ndarray, cut: int, bins: int) -> None:
    examples = of_columns(values)
    for encoding, bound in (("quantile", 6), ("piecewise", 3)):
        _, features = encoded(examples, encoding, bins, np.arange(len(values))[:cut])
        assert (np.abs(features) <= bound).all()
    edges = quantile_bins.find_edges("piecewise", values[~np.isnan(values)], bins)
    assert (np.diff(edges) > 0).all()
