"""Dates in a table: found by their cells alone, numbers of the day they name, and refused if they have two readings."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import data
from pipeline.config.datasets import TableFile
from pipeline.data.date_columns import DateColumn
from pipeline.data.examples import DataError, Examples, Table
from pipeline.data.sources.table import parse_table

DAYS = pd.date_range("2019-11-28", periods=90, freq="D")
NAMES = ("sold (year)", "sold (month)", "sold (weekday)", "sold (days)")
EXPECTED = np.stack([DAYS.year, DAYS.month, DAYS.day_of_week, np.arange(90) + 18228], axis=1)


def asked(folder: Path, cells: list[Any], suffix: str = "csv", **changes: Any) -> TableFile:
    frame = pd.DataFrame({"sold": cells, "size": range(len(cells)), "price": range(len(cells))})
    file = folder / f"t.{suffix}"
    frame.to_csv(file, index=False) if suffix == "csv" else frame.to_parquet(file)
    settings = {"target": "price", "group": None, "ignore": (), "categories": (), "missing": "impute"} | changes
    return TableFile("table", file, **settings)


def loaded(dataset: TableFile) -> tuple[Examples, Table]:
    examples = data.load_examples(dataset, "numbers", Path("unused"))
    assert isinstance(examples.inputs, Table)
    return examples, examples.inputs


def refused(dataset: TableFile) -> str:
    with pytest.raises(DataError) as error:
        loaded(dataset)
    return str(error.value)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("%Y-%m-%d", "ISO8601"),
        ("%Y%m%dT000000", "ISO8601"),
        ("%Y-%m-%dT00:00:00Z", "ISO8601"),
        ("%Y-%m-%d 01:00:00+01:00", "ISO8601"),
        ("%Y/%m/%d", "ISO8601"),
        ("%d.%m.%Y", "%d.%m.%Y"),
        ("%m/%d/%Y", "%m/%d/%Y"),
        ("%d/%m/%Y", "%d/%m/%Y"),
    ],
)
def test_date_becomes_year_month_weekday_and_days(written: str, expected: str, tmp_path: Path) -> None:
    examples, table = loaded(asked(tmp_path, list(DAYS.strftime(written))))
    assert (table.number_names, table.category_names) == ((*NAMES, "size"), ())
    assert table.numbers[:, :4].tolist() == EXPECTED.tolist()
    assert table.dates == (DateColumn("sold", expected),)
    note = "dates, each replaced by year, month, weekday (0 is Monday) and days since 1970-01-01: sold"
    assert examples.notes == (note,)


@pytest.mark.parametrize("kind", ["datetime64[us]", "datetime64[ns, UTC]", "date"])
def test_dates_of_parquet_are_those_of_text(kind: str, tmp_path: Path) -> None:
    cells = (
        list(DAYS.date)
        if kind == "date"
        else pd.Series(DAYS.tz_localize("UTC" if "UTC" in kind else None)).astype(kind)
    )
    _, table = loaded(asked(tmp_path, cells, "parquet"))
    assert table.numbers[:, :4].tolist() == EXPECTED.tolist()


def test_time_of_day_is_a_part_of_the_days(tmp_path: Path) -> None:
    cells = [f"2020-01-{day:02d} 18:00:00" for day in range(1, 31)]
    _, table = loaded(asked(tmp_path, cells))
    assert table.number_names == ("sold (weekday)", "sold (days)", "size")
    assert table.numbers[0, 1] == 18262.75


def test_months_without_days_and_empty_cells_are_dates(tmp_path: Path) -> None:
    cells = ["2020-01", None, "2020-03", "2021-04"] * 5
    examples, table = loaded(asked(tmp_path, cells))
    assert table.number_names == (*NAMES, "size")
    assert np.isnan(table.numbers[1, :4]).all()
    assert "sold (year) in 5 rows" in examples.notes[1]


@pytest.mark.parametrize(
    "cells",
    [
        ["2014", "flat", "2016"] * 5,
        ["1234-01", "1234-02", "9999-01"] * 5,
        ["12:30", "13:30"] * 8,
        ["a", "b"] * 8,
        [True, False] * 8,
    ],
)
def test_other_texts_stay_categories(cells: list[Any], tmp_path: Path) -> None:
    _, table = loaded(asked(tmp_path, cells))
    assert (table.category_names, table.dates) == (("sold",), ())


def test_dates_may_be_categories_or_ignored(tmp_path: Path) -> None:
    cells = ["2020-01-01", "2020-02-01"] * 8
    _, table = loaded(asked(tmp_path, cells, categories=("sold",)))
    assert table.levels == (("2020-01-01", "2020-02-01"),)
    _, table = loaded(asked(tmp_path, cells, ignore=("sold",)))
    assert (table.number_names, table.category_names, table.dates) == (("size",), (), ())


def test_refuses_dates_with_slips_and_dates_with_two_readings(tmp_path: Path) -> None:
    cells = [*DAYS.strftime("%Y-%m-%d"), "soon", "2020-02-31"]
    said = refused(asked(tmp_path, cells))
    slips = "sold has dates, and in 2 rows 'soon', '2020-02-31'"
    assert said.endswith(f"t.csv: {slips}: empty or fix those cells, or dataset.categories=[sold]")
    said = refused(asked(tmp_path, ["01/02/2020", "03/04/2020"] * 8))
    rule = "a date has one reading; sold has the day or the month first, as '01/02/2020'"
    assert said.endswith(f"t.csv: {rule}: write it as 2020-01-31, or dataset.ignore=[sold]")


def test_refuses_a_column_with_the_name_of_a_part(tmp_path: Path) -> None:
    dataset = asked(tmp_path, list(DAYS.strftime("%Y-%m-%d")))
    frame = pd.read_csv(dataset.file).rename(columns={"size": "sold (month)"})
    frame.to_csv(dataset.file, index=False)
    assert "columns with names of their own" in refused(dataset)
    assert "got sold (month): rename the column" in refused(dataset)


def test_refuses_missing_dates_by_the_name_of_their_column(tmp_path: Path) -> None:
    said = refused(asked(tmp_path, ["2020-01-01", None, "2020-02-01"] * 5, missing="refuse"))
    assert "every cell has a value; sold has none in 5 rows, first 2, 5, 8, 11, 14" in said


def test_rows_to_predict_have_the_dates_of_training(tmp_path: Path) -> None:
    _, table = loaded(asked(tmp_path, list(DAYS.strftime("%d.%m.%Y"))))
    frame = pd.DataFrame({"sold": ["28.11.2019", None, "2019-11-28", "soon"], "size": [0, 1, "x", 3]})
    parsed, errors = parse_table(frame, table.number_names, (), table.dates)
    assert parsed.numbers[0].tolist() == [2019, 11, 3, 18228, 0]
    assert np.isnan(parsed.numbers[1:, :4]).all()
    date = "sold: no date in the format %d.%m.%Y"
    assert errors == ["", "", f"size: no number, {date}", date]
    with pytest.raises(DataError, match="no column sold; the model was trained with it"):
        parse_table(frame[["size"]], table.number_names, (), table.dates)
    empty, errors = parse_table(frame.assign(sold=np.nan, size=0), table.number_names, (), table.dates)
    assert (np.isnan(empty.numbers[:, :4]).all(), errors) == (True, [""] * 4)


def test_days_are_written_as_a_cell_of_the_column() -> None:
    assert DateColumn("sold", "ISO8601").format_days(18228.2) == "2019-11-28"
    assert DateColumn("sold", "%d.%m.%Y").format_days(18228.2) == "28.11.2019"
