"""Targets of a table: what they are taken for before the table is loaded, and how labels are loaded."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import data
from pipeline.config.datasets import TableFile
from pipeline.data.examples import DataError, Examples
from pipeline.data.sources import table_targets
from pipeline.data.sources.table_files import read_frame
from pipeline.data.sources.table_targets import MAX_CLASS_NUMBERS, MIN_CLASS_ROWS, inspect_table

ROWS = 400


def asked(folder: Path, *targets: str, suffix: str = "csv", **columns: Any) -> TableFile:
    file = folder / f"t.{suffix}"
    frame = pd.DataFrame({"size": np.arange(ROWS) + 0.5} | columns)
    frame.to_parquet(file) if suffix == "parquet" else frame.to_csv(file, index=False)
    target = targets[0] if len(targets) == 1 else None
    return TableFile("table", file, target, None, (), (), "impute", () if target else targets)


def heads_of(folder: Path, values: Any, suffix: str = "csv") -> tuple[str, ...]:
    return inspect_table(asked(folder, "y", suffix=suffix, y=values)).heads


def repeated(*values: object) -> list[object]:
    return [values[row % len(values)] for row in range(ROWS)]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("values", "heads"),
    [
        (repeated("a", "b"), ("sigmoid", "softmax")),
        (repeated("a", "b", "c"), ("softmax",)),
        (repeated(True, False), ("sigmoid", "softmax")),
        (repeated(0, 1), ("sigmoid", "softmax", "number")),
        (repeated(-1.5, 2.5), ("sigmoid", "softmax", "number")),
        (repeated(*range(MAX_CLASS_NUMBERS)), ("softmax", "number")),
        (repeated(1.0, 2.0, 7.0), ("softmax", "number")),
        (repeated(*range(MAX_CLASS_NUMBERS + 1)), ("number",)),
        (repeated(1, 2, 2.5), ("number",)),
        ([3] * (MIN_CLASS_ROWS - 1) + repeated(1, 2)[MIN_CLASS_ROWS - 1 :], ("number", "softmax")),
        ([3] * MIN_CLASS_ROWS + repeated(1, 2)[MIN_CLASS_ROWS:], ("softmax", "number")),
        (repeated("10115", "20095", "80331"), ("softmax", "number")),
    ],
)
def test_values_of_a_column_give_the_heads_that_suit(
    values: list[object], heads: tuple[str, ...], suffix: str, tmp_path: Path
) -> None:
    assert heads_of(tmp_path, values, suffix) == heads


def test_only_the_target_of_a_csv_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[str]] = []

    def noting(*arguments: Any, **options: Any) -> pd.DataFrame:
        frame = read_frame(*arguments, **options)
        read.append([len(frame), *frame.columns])
        return frame

    monkeypatch.setattr(table_targets, "read_frame", noting)
    inspect_table(asked(tmp_path, "y", y=repeated(0, 1)))
    assert read == [[1, "size", "y"], [ROWS, "y"]]


def test_classes_are_named_up_to_five(tmp_path: Path) -> None:
    few = inspect_table(asked(tmp_path, "y", y=repeated("b", "a\n", "c", "d", "e")))
    assert few.description == "y has 5 classes (a\\n, b, c, d, e)"
    assert inspect_table(asked(tmp_path, "y", y=repeated(*"abcdef"))).description == "y has 6 classes"


def refused(dataset: TableFile) -> str:
    with pytest.raises(DataError) as error:
        inspect_table(dataset)
    return str(error.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([f"name {row}" for row in range(ROWS)], "a few classes, or a number; y has 400 different texts in 400 rows"),
        (["?", *range(1, ROWS)], "y is a finite number in every row; not so in 1 rows, first 1: fix or remove"),
        ([None, *range(1, ROWS)], "y is a finite number in every row; not so in 1 rows, first 1: fix or remove"),
        ([np.inf, *range(1, ROWS)], "y is a finite number in every row; not so in 1 rows, first 1: fix or remove"),
        ([None, *repeated("a", "b")[1:]], "y has a value in every row; missing in 1 rows, first 1: fill or remove"),
        (repeated("a"), "y has at least two classes; got 'a' in every one of 400 rows: name another column"),
        (repeated(7), "y differs between the rows; got 7 in every one of 400: name another column"),
    ],
)
def test_unusable_targets_are_refused_before_the_table_is_loaded(
    values: list[object], said: str, tmp_path: Path
) -> None:
    assert refused(asked(tmp_path, "y", y=values)).startswith(f"dataset.target: {said}")


def test_unusable_labels_are_all_said(tmp_path: Path) -> None:
    columns = {"a": repeated(0, 1), "b": repeated(0, 2), "c": repeated(1), "d": repeated("yes", "no")}
    assert refused(asked(tmp_path, *columns, **columns)).splitlines() == [
        "dataset.targets: b is 0 or 1 in every row; not so in 200 rows, first 2, 4, 6, 8, 10: got '2'; fix those rows",
        "dataset.targets: c differs between the rows; got 1 in every one of 400: leave it out",
        "dataset.targets: d is 0 or 1 in every row; not so in 400 rows, first 1, 2, 3, 4, 5: got 'yes'; fix those rows",
    ]


def loaded(dataset: TableFile) -> Examples:
    return data.load_examples(dataset, "labels", Path("unused"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_of_0_and_1_are_loaded_as_labels_and_are_no_inputs(suffix: str, tmp_path: Path) -> None:
    columns = {"b": repeated(0, 1), "a\n": repeated(True, True, False)}
    examples = loaded(asked(tmp_path, *columns, suffix=suffix, **columns))
    assert (examples.classes, examples.target_kind) == (("b", "a\\n"), "labels")
    assert (examples.targets.dtype, examples.targets.shape) == (np.float32, (ROWS, 2))
    assert examples.targets[:3].tolist() == [[0, 1], [1, 1], [0, 0]]
    assert examples.inputs.number_names == ("size",)  # type: ignore[union-attr]
    assert examples.inputs.category_names == ()  # type: ignore[union-attr]


def test_labels_that_are_no_columns_or_have_two_uses_are_refused(tmp_path: Path) -> None:
    dataset = asked(tmp_path, "kat", "size", cat=repeated(0, 1))
    assert refused(dataset).splitlines()[0].endswith("t.csv; got kat (did you mean cat?)")
    twice = TableFile("table", dataset.file, None, "size", (), (), "impute", ("cat", "size"))
    assert "dataset.targets: size is also under group, ignore or categories; only one can be" in refused(twice)
