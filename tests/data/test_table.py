"""Tables: what becomes a number, a category, a group and a target, and what is refused with the way out."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import data
from pipeline.config.datasets import TableFile, TargetKind
from pipeline.data.examples import DataError, Examples, Table
from pipeline.data.sources.table import read_table
from pipeline.data.sources.table_checks import find_name_mistakes

REAL = Path(__file__).parents[3] / "shared" / "data" / "house_price" / "kc_house_data.csv"
HOUSES: dict[str, list[Any]] = {
    "id": [1, 1, 2, 3, 4, 5],
    "size": [50, 60, None, 80, 90, 100],
    "zip": [10115, 10115, 20095, 20095, 80331, None],
    "kind": ["flat", "flat", "house", None, "house", "flat"],
    "garden": [True, False, True, True, False, False],
    "country": ["x"] * 6,
    "price": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
}


def asked(file: Path, **changes: Any) -> TableFile:
    settings = {"target": "price", "group": "id", "ignore": (), "categories": ("zip",), "missing": "impute"} | changes
    return TableFile("table", file, **settings)


def saved(folder: Path, **changes: list[Any]) -> Path:
    pd.DataFrame(HOUSES | changes).to_csv(folder / "houses.csv", index=False)
    return folder / "houses.csv"


def loaded(dataset: TableFile, wants: TargetKind = "numbers") -> Examples:
    return data.load_examples(dataset, wants, Path("unused"))


def refused(dataset: TableFile, wants: TargetKind = "numbers") -> str:
    with pytest.raises(DataError) as error:
        loaded(dataset, wants)
    return str(error.value)


def inputs(examples: Examples) -> Table:
    assert isinstance(examples.inputs, Table)
    return examples.inputs


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_become_numbers_categories_groups_and_target(suffix: str, tmp_path: Path) -> None:
    file, frame = tmp_path / f"houses.{suffix}", pd.DataFrame(HOUSES)
    frame.to_csv(file, index=False) if suffix == "csv" else frame.to_parquet(file)
    examples = loaded(asked(file))
    table = inputs(examples)
    assert (table.number_names, table.category_names) == (("size",), ("zip", "kind", "garden"))
    assert (table.numbers.dtype, table.codes.dtype) == (np.float32, np.int64)
    assert np.isnan(table.numbers[:, 0]).tolist() == [False, False, True, False, False, False]
    assert table.levels == (("10115", "20095", "80331"), ("flat", "house"), ("False", "True"))
    assert table.codes[:, 0].tolist() == [0, 0, 1, 1, 2, -1]
    assert table.codes[:, 1].tolist() == [0, 0, 1, -1, 1, 0]
    assert examples.groups.tolist() == [0, 0, 1, 2, 3, 4]
    assert examples.targets.tolist() == HOUSES["price"]
    assert not examples.test_mask.any()
    assert examples.notes == (
        "left out, the same in every row: country",
        "missing numbers, replaced by the training rows' median and flagged: size in 1 rows",
        "missing categories, each counted as a category of its own: zip in 1 rows, kind in 1 rows",
    )


def test_without_a_group_each_row_is_its_own(tmp_path: Path) -> None:
    assert loaded(asked(saved(tmp_path), group=None)).groups.tolist() == list(range(6))


def test_rows_without_a_group_are_alone_and_noted(tmp_path: Path) -> None:
    examples = loaded(asked(saved(tmp_path, id=[1, 1, None, None, 2, 2])))
    assert len(set(examples.groups.tolist())) == 4
    assert "rows without id, each a group of its own: 2" in examples.notes


def test_ignored_columns_are_not_inputs(tmp_path: Path) -> None:
    table = inputs(loaded(asked(saved(tmp_path), ignore=("size", "garden"))))
    assert (table.number_names, table.category_names) == ((), ("zip", "kind"))
    assert table.numbers.shape == (6, 0)


def test_suggested_column_with_a_line_break_is_escaped(tmp_path: Path) -> None:
    columns = ["pri\nce" if name == "price" else name for name in HOUSES]
    lines = find_name_mistakes(asked(tmp_path / "houses.csv", target="price"), columns)
    assert lines[0].endswith("got price (did you mean pri\\nce?)")
    assert not any("\n" in line for line in lines)


def test_every_unknown_column_is_said_with_the_nearest(tmp_path: Path) -> None:
    said = refused(asked(saved(tmp_path), target="prise", ignore=("contry",), categories=("zipp",), group="house"))
    assert "got prise (did you mean price?)" in said
    for key in ("dataset.target", "dataset.ignore", "dataset.categories", "dataset.group"):
        assert f"{key}: a column of" in said
    assert "columns: id, size, zip, kind, garden, country, price" in said


def test_refuses_a_column_with_two_uses(tmp_path: Path) -> None:
    file = saved(tmp_path)
    assert "dataset.target: price is also under group, ignore" in refused(asked(file, ignore=("price",)))
    assert "dataset.target: price is also under group, ignore" in refused(asked(file, group="price"))
    assert "dataset.categories: zip is also under group or ignore" in refused(asked(file, ignore=("zip",)))


def test_refuses_target_that_is_missing_or_no_number(tmp_path: Path) -> None:
    said = refused(asked(saved(tmp_path, price=[1, 2, None, 4, 1e300, 6])))
    assert "price is a finite number in every row; not so in 2 rows, first 3, 5" in said
    said = refused(asked(saved(tmp_path), target="kind"))
    assert "kind is a number for this head; got none (head=softmax)" in said


def test_refuses_infinite_numbers(tmp_path: Path) -> None:
    said = refused(asked(saved(tmp_path, size=[1, 2, np.inf, 4, 5, 1e300])))
    assert "infinite ones in size, 2 rows, first 3, 6" in said
    assert "dataset.ignore=[size]" in said


def test_refuses_numbers_with_slips_unless_they_are_categories(tmp_path: Path) -> None:
    rows = 20
    columns = {"size": [*map(str, range(rows - 1)), "?"], "price": list(range(rows))}
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    said = refused(asked(tmp_path / "t.csv", group=None, categories=()))
    assert "size has numbers, and in 1 rows '?': empty or fix those cells, or dataset.categories=[size]" in said
    assert len(inputs(loaded(asked(tmp_path / "t.csv", group=None, categories=("size",)))).levels[0]) == rows


def test_refuses_text_that_names_each_row(tmp_path: Path) -> None:
    rows = 150
    columns = {"owner": [f"name {row}" for row in range(rows)], "size": range(rows), "price": range(rows)}
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    said = refused(asked(tmp_path / "t.csv", group=None, categories=()))
    assert "owner has 150 different texts in 150 rows" in said
    assert "dataset.ignore=[owner]" in said
    assert inputs(loaded(asked(tmp_path / "t.csv", group=None, categories=(), ignore=("owner",)))).codes.size == 0


def test_few_values_or_texts_are_classes(tmp_path: Path) -> None:
    examples = loaded(asked(saved(tmp_path), target="garden"), "classes")
    assert (examples.classes, examples.targets.tolist()) == (("False", "True"), [1, 0, 1, 1, 0, 0])
    kinds = loaded(asked(saved(tmp_path, kind=["b", "a", "c"] * 2), target="kind"), "classes")
    assert (kinds.classes, kinds.targets.tolist()) == (("a", "b", "c"), [1, 0, 2] * 2)
    assert "a few classes for this head; got 6 in 6 rows (head=number)" in refused(asked(saved(tmp_path)), "classes")
    assert "kind has a value in every row; missing in 1 rows, first 4" in refused(
        asked(saved(tmp_path), target="kind"), "classes"
    )


def test_all_mistakes_of_the_cells_are_said_at_once(tmp_path: Path) -> None:
    rows = 20
    columns = {
        "size": [*range(rows - 1), np.inf],
        "rooms": [*map(str, range(rows - 1)), "?"],
        "note": [None, "x" * 10_000_000, *["short"] * (rows - 2)],
        "price": [*range(rows - 1), None],
    }
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    said = refused(asked(tmp_path / "t.csv", group=None, categories=())).splitlines()
    assert [line.split(": ")[1].split()[0] for line in said] == ["price", "numbers", "rooms", "a"]
    assert "note has 10,000,000 in row 2: shorten it, or dataset.ignore=[note]" in said[3]
    assert max(map(len, said)) < 300


@pytest.mark.parametrize("column", ["size", "zip", "kind"])
def test_missing_cells_are_refused_where_that_is_asked_for(column: str, tmp_path: Path) -> None:
    said = refused(asked(saved(tmp_path), missing="refuse"))
    assert len(said.splitlines()) == 3
    rows = {"size": 2, "zip": 5, "kind": 3}
    rule = f"dataset.missing=refuse: every cell has a value; {column} has none in 1 rows, first {rows[column] + 1}: "
    assert rule + f"fill them, dataset.missing=impute, or dataset.ignore=[{column}]" in said
    ignoring = asked(saved(tmp_path), missing="refuse", ignore=("size", "kind"), categories=("garden",))
    assert "zip has none" in refused(ignoring)
    assert len(loaded(asked(saved(tmp_path), missing="refuse", ignore=("size", "kind", "zip"), categories=()))) == 6


def test_refuses_a_target_that_is_the_same_in_every_row(tmp_path: Path) -> None:
    said = refused(asked(saved(tmp_path, price=[7] * 6)))
    assert "dataset.target: price differs between the rows; got 7 in every one of 6: name another column" in said
    said = refused(asked(saved(tmp_path), target="country"), "classes")
    assert "country has at least two classes; got 'x' in every one of 6 rows: name another column" in said


def test_names_and_classes_of_any_length_are_cut_short_and_escaped(tmp_path: Path) -> None:
    huge, red = "x" * 2000, "\x1b[31mred"
    said = refused(asked(saved(tmp_path, **{huge: [1, 2] * 3, red: [np.inf] * 6})))
    assert "a column's name has at most 1,000 characters; got xxx" in said
    assert "infinite ones in \\x1b[31mred" in said
    assert len(said) < 1000
    said = refused(asked(saved(tmp_path, kind=[huge, "a"] * 3), target="kind"), "classes")
    assert "kind has classes of at most 1,000 characters; got 'xxx" in said
    examples = loaded(asked(saved(tmp_path, kind=[red, "=cmd()"] * 3), target="kind"), "classes")
    assert examples.classes == ("\\x1b[31mred", "=cmd()")


def test_refuses_labels(tmp_path: Path) -> None:
    said = refused(asked(saved(tmp_path)), "labels")
    assert "dataset=table gives one class a row: head=softmax, or head=sigmoid for two or a number a row" in said


def test_refuses_files_that_are_no_table(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,a,price\n1,2,3\n")
    assert "each column has its own name; got twice: a" in refused(asked(file))
    file.write_text("a,price\n1,2,3\n")
    assert "a row has more cells than the first line has names" in refused(asked(file))
    file.write_text("a,price\n")
    assert "has no rows" in refused(asked(file))
    file.write_text("")
    assert "no CSV or parquet file that can be read" in refused(asked(file))
    file.rename(tmp_path / "t.parquet")
    assert "no CSV or parquet file that can be read" in refused(asked(tmp_path / "t.parquet"))
    os.mkfifo(tmp_path / "pipe.csv")
    assert "(not a regular file)" in refused(asked(tmp_path / "pipe.csv"))
    assert "(No such file or directory)" in refused(asked(tmp_path / "none.csv"))


def test_index_and_nested_cells_of_a_parquet_file(tmp_path: Path) -> None:
    frame, file = pd.DataFrame(HOUSES), tmp_path / "houses.parquet"
    frame.set_index("id").to_parquet(file)
    assert loaded(asked(file)).groups.tolist() == [0, 0, 1, 2, 3, 4]
    frame.assign(rooms=[[1, 2]] * 6).to_parquet(file)
    assert "a cell is a number or a text; rooms has others: dataset.ignore=[rooms]" in refused(asked(file))


def test_asked_rows_read_as_the_trained_ones(tmp_path: Path) -> None:
    table, errors = read_table(saved(tmp_path, size=[50, "big", None, 80, 90, 100]), ["size"], ["zip", "garden"], [])
    assert errors == ["", "size: no number", "", "", "", ""]
    assert table.levels == (("10115", "20095", "80331"), ("False", "True"))
    with pytest.raises(DataError, match="no column rooms; the model was trained with it"):
        read_table(tmp_path / "houses.csv", ["rooms"], [], [])


def test_real_houses_are_read_whole() -> None:
    if not REAL.is_file():
        pytest.skip("house_price is not here")
    examples = loaded(asked(REAL, ignore=("date",), categories=("zipcode",)))
    assert (len(examples), len(set(examples.groups.tolist()))) == (21_613, 21_436)
    assert inputs(examples).category_names == ("zipcode",)
    assert (inputs(examples).numbers.shape, len(inputs(examples).levels[0])) == ((21_613, 17), 70)


def test_refuses_free_text_in_a_small_table(tmp_path: Path) -> None:
    notes = [f"room {row} looks on the garden, and the kitchen was renovated" for row in range(20)]
    pd.DataFrame({"note": notes, "size": range(20), "price": range(20)}).to_csv(tmp_path / "t.csv", index=False)
    said = refused(asked(tmp_path / "t.csv", group=None, categories=()))
    rule = "a category repeats; note has 20 different texts in 20 rows, names or free text"
    assert said.endswith(f"{rule}: dataset.ignore=[note], or dataset.categories=[note] to use it anyway")
