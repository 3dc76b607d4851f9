"""References: models of scikit-learn, trained on the same folds and tested on the same rows as the winner."""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import Tensor

from pipeline.data.examples import BackboneFeatures, Images, RawInputs, Table
from pipeline.models.heads import BandsHead
from pipeline.study.problem import Problem

Matrix = NDArray[np.float32]
N_TIMED_ROWS = 2_000  # of a first fit, from which the time of the others is estimated
MAX_MATRIX_VALUES = 2**27  # of images: half a GiB as float32, which scikit-learn copies
MAX_TREE_LEVELS = 255  # of a category, in scikit-learn's trees


@dataclass(frozen=True)
class ReferenceKind:
    """Kind of reference; title: its name in tables and in the report.

    build_estimator: returns an estimator that is not fitted, for a problem and a seed.
    """

    title: str
    is_for_tables_alone: bool
    build_estimator: Callable[[Problem, int], Any]


def _build_trees(problem: Problem, seed: int) -> Any:
    table = problem.examples.inputs
    assert isinstance(table, Table)
    is_category = [False] * table.numbers.shape[1] + [len(levels) <= MAX_TREE_LEVELS for levels in table.levels]
    options = {"categorical_features": np.array(is_category), "random_state": seed}
    if problem.task.head.prediction_kinds != ("numbers",):
        return HistGradientBoostingClassifier(**options)
    loss = "absolute_error" if problem.task.metric.name == "mean_absolute_error" else "squared_error"
    return HistGradientBoostingRegressor(loss=loss, **options)


def _build_linear(problem: Problem, seed: int) -> Any:
    is_number = problem.task.head.prediction_kinds == ("numbers",)
    estimator = Ridge() if is_number else LogisticRegression(random_state=seed)
    table = problem.examples.inputs
    if not isinstance(table, Table):
        return make_pipeline(StandardScaler(), estimator)
    n_numbers = table.numbers.shape[1]
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    codes = OneHotEncoder(handle_unknown="ignore")
    columns = [("numbers", numbers, slice(0, n_numbers))] if n_numbers else []
    if table.levels:
        columns.append(("codes", codes, slice(n_numbers, None)))
    return make_pipeline(ColumnTransformer(columns), estimator)


REFERENCE_KINDS: Mapping[str, ReferenceKind] = {
    "trees": ReferenceKind("gradient boosting", is_for_tables_alone=True, build_estimator=_build_trees),
    "linear": ReferenceKind("linear model", is_for_tables_alone=False, build_estimator=_build_linear),
}


@dataclass(frozen=True)
class ReferencePredictions:
    """Predictions of a reference: of the validation rows of each fold, and of the test rows; [N, columns] each."""

    title: str
    folds: tuple[Tensor, ...]
    test: Tensor
    seconds: float


class ReferenceTooLargeError(Exception):
    """Reference that would take more time or memory than its limit."""


class ReferenceTrainer:
    """Trains references on the rows of one problem. seed: of scikit-learn's random numbers."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem = problem
        self.seed = seed
        head = problem.task.head
        targets = torch.from_numpy(np.array(problem.examples.targets))
        # of bands, the index of each; every other head's targets are what scikit-learn takes
        self.targets = (head.find_bands(targets) if isinstance(head, BandsHead) else targets).numpy()

    @cached_property
    def matrix(self) -> Matrix:
        """Return the inputs, float32 [N, columns]; raises ReferenceTooLargeError before it takes the memory."""
        inputs = self.problem.examples.inputs
        n_values = inputs.pixels.size if isinstance(inputs, Images) else 0  # the others are in memory already
        if n_values > MAX_MATRIX_VALUES:
            size, limit = (4 * count / 2**30 for count in (n_values, MAX_MATRIX_VALUES))
            raise ReferenceTooLargeError(f"its inputs would take {size:,.1f} GiB; the limit is {limit:.1f} GiB")
        return _to_matrix(inputs)

    def is_for(self, kind: ReferenceKind) -> bool:
        """Return whether a kind of reference can read the inputs."""
        return isinstance(self.problem.examples.inputs, Table) or not kind.is_for_tables_alone

    def train(self, kind: ReferenceKind, limit_seconds: float) -> ReferencePredictions:
        """Train on each fold and on all development rows, and predict; raises ReferenceTooLargeError."""
        start_time = time.monotonic()
        splits = self.problem.splits
        self._check_time(kind, limit_seconds)
        folds = tuple(self._fit_predict(kind, fold.train, fold.validation) for fold in splits.folds)
        test = self._fit_predict(kind, splits.development, splits.test)
        return ReferencePredictions(kind.title, folds, test, time.monotonic() - start_time)

    def _check_time(self, kind: ReferenceKind, limit_seconds: float) -> None:
        """Fit on a part of the rows, and raise ReferenceTooLargeError if all fits would take longer than the limit."""
        splits = self.problem.splits
        rows = np.random.default_rng(self.seed).permutation(splits.development)[:N_TIMED_ROWS]
        start_time = time.monotonic()
        self._fit_predict(kind, rows, rows[:1])
        n_rows = len(splits.development) + sum(len(fold.train) for fold in splits.folds)
        seconds = (time.monotonic() - start_time) * n_rows / len(rows)
        if seconds > limit_seconds:
            raise ReferenceTooLargeError(f"it would take about {seconds:,.0f} s; the limit is {limit_seconds:,.0f} s")

    def _fit_predict(self, kind: ReferenceKind, train: NDArray[np.int64], rows: NDArray[np.int64]) -> Tensor:
        inputs = self.matrix[train]
        predicted_inputs = self.matrix[rows]
        targets = self.targets[train]
        head = self.problem.task.head
        if head.prediction_kinds == ("numbers",):
            estimator = self._fit(kind, inputs, targets)
            return torch.from_numpy(estimator.predict(predicted_inputs).astype(np.float32))[:, None]
        if targets.ndim == 2:  # labels: an estimator each, of which the second column is the probability
            columns = [self._fit_probabilities(kind, inputs, each, predicted_inputs, 2)[:, 1:] for each in targets.T]
            return torch.cat(columns, dim=1)
        return self._fit_probabilities(kind, inputs, targets, predicted_inputs, len(head.output_names))

    def _fit_probabilities(
        self, kind: ReferenceKind, inputs: Matrix, targets: NDArray[Any], predicted_inputs: Matrix, n_classes: int
    ) -> Tensor:
        """Return probabilities [N, n_classes]; a class without training rows has 0."""
        probabilities = np.zeros((len(predicted_inputs), n_classes), dtype=np.float32)
        classes = np.unique(targets).astype(np.int64)
        if len(classes) == 1:
            probabilities[:, classes] = 1.0
        else:
            probabilities[:, classes] = self._fit(kind, inputs, targets).predict_proba(predicted_inputs)
        return torch.from_numpy(probabilities)

    def _fit(self, kind: ReferenceKind, inputs: Matrix, targets: NDArray[Any]) -> Any:
        with warnings.catch_warnings():  # its defaults are the reference, also where they stop early
            warnings.simplefilter("ignore", ConvergenceWarning)
            return kind.build_estimator(self.problem, self.seed).fit(inputs, targets)


def _to_matrix(inputs: RawInputs) -> Matrix:
    """Return the inputs as float32 [N, columns]: pixels from 0 to 1, mean features, or numbers and category codes."""
    if isinstance(inputs, Images):
        return np.asarray(inputs.pixels, dtype=np.float32).reshape(len(inputs), -1) / np.float32(255)
    if isinstance(inputs, BackboneFeatures):
        return inputs.mean_over_views()
    codes = np.where(inputs.codes < 0, np.nan, inputs.codes).astype(np.float32)
    return np.concatenate([inputs.numbers, codes], axis=1)
