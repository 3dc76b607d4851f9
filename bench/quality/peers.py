"""The methods that the product is compared with, each with its library's defaults and one thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bench.quality.scores import Predictions
from bench.quality.splits import SplitFiles
from bench.quality.tables import TargetKind

FOLDS = 5


def predict_peer(method: str, split: SplitFiles, seed: int) -> Predictions:
    """Train a peer on the training rows and return its predictions for the test rows."""
    train, targets, test = split.read_features()
    prepare, build = PEERS[method]
    train, test = prepare(train, test)
    names = list(train.select_dtypes("category").columns)
    model = build(split.table.target_kind, names, seed)
    options = {"cat_col_names": names} if method in PYTABKIT else {}
    model.fit(train, targets, **options)
    if split.table.target_kind == "numbers":
        return Predictions(np.asarray(model.predict(test), np.float64))
    probabilities = np.asarray(model.predict_proba(test), np.float64)
    classes = tuple(map(str, model.classes_))
    return Predictions(np.array(classes, object)[probabilities.argmax(axis=1)], probabilities, classes)


def keep(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the inputs as they are: the method handles missing values itself."""
    return train, test


def name_missing_categories(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return inputs whose missing categories have a name, as CatBoost wants them; it handles missing numbers itself."""
    return _name_missing(train), _name_missing(test)


def _name_missing(frame: pd.DataFrame) -> pd.DataFrame:
    names = frame.select_dtypes("category").columns
    return frame.assign(**{name: frame[name].astype(object).fillna("").astype("category") for name in names})


def impute_numbers(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return inputs as pytabkit wants them: missing numbers are the training median, each such column has a flag."""
    missing = [name for name in train.select_dtypes("number") if train[name].isna().any()]
    medians = train.select_dtypes("number").median()
    return _fill(train, medians, missing), _fill(test, medians, missing)


def _fill(frame: pd.DataFrame, medians: pd.Series, missing: list[str]) -> pd.DataFrame:
    flags = {f"{name}_missing": frame[name].isna().astype(np.float64) for name in missing}
    return frame.fillna(medians.to_dict()).assign(**flags)


def _build_trees(kind: TargetKind, _names: list[str], seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    model = HistGradientBoostingClassifier if kind == "classes" else HistGradientBoostingRegressor
    return model(categorical_features="from_dtype", random_state=seed)


def _build_catboost(kind: TargetKind, names: list[str], seed: int) -> Any:
    from catboost import CatBoostClassifier, CatBoostRegressor

    model = CatBoostClassifier if kind == "classes" else CatBoostRegressor
    return model(cat_features=names, random_seed=seed, thread_count=1, verbose=False, allow_writing_files=False)


def _build_realmlp(kind: TargetKind, _names: list[str], seed: int, n_cv: int = 1) -> Any:
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    model = RealMLP_TD_Classifier if kind == "classes" else RealMLP_TD_Regressor
    return model(random_state=seed, n_threads=1, device="cpu", n_cv=n_cv)


def _build_realmlp_folds(kind: TargetKind, names: list[str], seed: int) -> Any:
    return _build_realmlp(kind, names, seed, FOLDS)


def _build_tabm(kind: TargetKind, _names: list[str], seed: int) -> Any:
    from pytabkit import TabM_D_Classifier, TabM_D_Regressor

    model = TabM_D_Classifier if kind == "classes" else TabM_D_Regressor
    return model(random_state=seed, n_threads=1, device="cpu")


Prepare = Callable[[pd.DataFrame, pd.DataFrame], tuple[pd.DataFrame, pd.DataFrame]]
PEERS: Mapping[str, tuple[Prepare, Callable[[TargetKind, list[str], int], Any]]] = {
    "trees": (keep, _build_trees),
    "catboost": (name_missing_categories, _build_catboost),
    "realmlp": (impute_numbers, _build_realmlp),
    "tabm": (impute_numbers, _build_tabm),
    "realmlp_folds": (impute_numbers, _build_realmlp_folds),
}
PYTABKIT = ("realmlp", "tabm", "realmlp_folds")
