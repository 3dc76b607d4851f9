"""Split a table into the files that every method gets: training rows, test rows without a target, and the answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit

from bench.quality.tables import PublicTable

TEST_SHARE = 0.25


@dataclass(frozen=True)
class SplitFiles:
    """The three files of one split of a table, in a folder of its own."""

    folder: Path
    table: PublicTable

    @property
    def train(self) -> Path:
        return self.folder / f"{self.table.name}.csv"  # the product names its results after this file

    @property
    def test(self) -> Path:
        return self.folder / "test.csv"

    @property
    def answers(self) -> Path:
        return self.folder / "answers.csv"

    def write(self, frame: pd.DataFrame, seed: int) -> None:
        """Write the three files, the answers last."""
        self.folder.mkdir(parents=True, exist_ok=True)
        test_mask = choose_test_rows(frame, self.table, seed)
        hidden = [self.table.target, *([self.table.group] if self.table.group else [])]
        frame[~test_mask].to_csv(self.train, index=False)
        frame[test_mask].drop(columns=hidden).to_csv(self.test, index=False)
        frame.loc[test_mask, self.table.target].to_csv(self.answers, index=False)

    def read_features(self) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
        """Return the inputs and targets of the training rows, and the inputs of the test rows.

        Columns that are no numbers become categories, whose levels are those of the training rows.
        """
        train = _read_csv(self.train, self.table)
        columns = train.columns.drop([self.table.target, self.table.group], errors="ignore")
        names = [column for column in columns if not _is_numeric(train[column]) or column in self.table.categories]
        text = dict.fromkeys(names, str)
        train = _read_csv(self.train, self.table, text).astype(dict.fromkeys(names, "category"))
        test = _read_csv(self.test, self.table, text)
        levels = {name: train[name].cat.categories for name in names}
        test = test.assign(
            **{name: pd.Categorical(test[name].where(test[name].isin(levels[name])), levels[name]) for name in names}
        )
        return train[columns], train[self.table.target], test[columns]

    def read_answers(self) -> pd.Series:
        """Return the targets of the test rows: text, or float64."""
        return _read_csv(self.answers, self.table)[self.table.target]


def choose_test_rows(frame: pd.DataFrame, table: PublicTable, seed: int) -> NDArray[np.bool_]:
    """Return a mask [N] of TEST_SHARE of the rows: whole groups, or the same share of each class."""
    if table.group:
        splitter = GroupShuffleSplit(1, test_size=TEST_SHARE, random_state=seed)
    elif table.target_kind == "classes":
        splitter = StratifiedShuffleSplit(1, test_size=TEST_SHARE, random_state=seed)
    else:
        splitter = ShuffleSplit(1, test_size=TEST_SHARE, random_state=seed)
    groups = frame[table.group] if table.group else None
    _, test_rows = next(splitter.split(frame, frame[table.target], groups))
    return np.isin(np.arange(len(frame)), test_rows)


def _read_csv(file: Path, table: PublicTable, text: dict[str, type] | None = None) -> pd.DataFrame:
    """Read a file; the names of classes stay text even if they are numbers."""
    classes = {table.target: str} if table.target_kind == "classes" else {}
    return pd.read_csv(file, dtype=classes | (text or {}))


def _is_numeric(column: pd.Series) -> bool:
    return types.is_numeric_dtype(column) and not types.is_bool_dtype(column)
