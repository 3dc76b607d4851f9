"""Split rows into a test set and cross-validation folds, once per search and before trial 0."""

import hashlib
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from sklearn import model_selection

from pipeline.config.schema import CrossValidationConfig
from pipeline.data.examples import DataError, Examples
from pipeline.runtime import seeds
from pipeline.runtime.text import shorten

Indices = NDArray[np.int64]
QUANTILE_BINS = 10


@dataclass(frozen=True)
class Fold:
    """Split of the development rows into training and validation rows."""

    train: Indices
    validation: Indices


@dataclass(frozen=True)
class Folds:
    """Test set, evaluated once at the end; development rows; and the cross-validation folds of the development rows.

    excluded: rows in neither set, because they share a group with a row of the data set's own test part.
    """

    test: Indices
    development: Indices
    folds: tuple[Fold, ...]
    excluded: Indices

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of every split, in order."""
        digest = hashlib.sha256(self.test.tobytes())
        for fold in self.folds:
            digest.update(fold.train.tobytes() + fold.validation.tobytes())
        return digest.hexdigest()


def make_folds(examples: Examples, cv: CrossValidationConfig, seed: int) -> Folds:
    """Hold out the test rows, then split the others into `cv.folds` folds, `cv.repeats` times.

    Stratified by class, set of labels, or quantile of a number; rows of one group stay on one side of every split.
    Raises DataError if there are too few rows or groups, or a class has fewer rows than folds.
    """
    _check_group_count(examples, cv)
    strata = _stratification_labels(examples)
    test = _select_test_indices(examples, strata, cv.test, seeds.derive_seed(seed, "test"))
    shares_test_group = np.isin(examples.groups, examples.groups[test])
    development = np.flatnonzero(~shares_test_group)
    excluded = np.setdiff1d(np.flatnonzero(shares_test_group), test)
    _check_development(examples, development, cv)
    random_states = [seeds.derive_seed(seed, "folds", repeat) for repeat in range(cv.repeats)]
    groups = examples.groups[development]
    folds = [_split_folds(development, strata[development], groups, cv.folds, state) for state in random_states]
    return Folds(np.sort(test), development, tuple(chain.from_iterable(folds)), excluded)


def stratified_subset(examples: Examples, indices: Indices, fraction: float, random_state: int) -> Indices:
    """Draw about a fraction of the rows at random: whole groups, with that fraction of each stratum.

    Systematic sampling: groups are shuffled within their strata, and every 1/fraction-th is selected.
    """
    rng = np.random.default_rng(random_state)
    row_groups = examples.groups[indices]
    groups, first = np.unique(row_groups, return_index=True)
    order = np.lexsort((rng.random(len(groups)), _stratification_labels(examples)[indices[first]]))
    is_selected = np.diff(np.floor(np.arange(len(groups) + 1) * fraction + rng.random())) > 0
    return indices[np.isin(row_groups, groups[order[is_selected]])]


def _select_test_indices(examples: Examples, strata: Indices, test_size: float, random_state: int) -> Indices:
    """Return the data set's own test rows, or a random fraction of the rows, split by group if rows share groups."""
    if examples.test_mask.any():
        return np.flatnonzero(examples.test_mask)
    indices = np.arange(len(examples))
    if _has_shared_groups(examples.groups):
        splitter = model_selection.GroupShuffleSplit(1, test_size=test_size, random_state=random_state)
        return np.asarray(next(splitter.split(indices, groups=examples.groups))[1])
    counts = np.bincount(strata)
    can_stratify = min(counts) >= 2 and len(counts) <= min(test_size, 1 - test_size) * len(indices)
    stratify = strata if can_stratify else None
    split = model_selection.train_test_split(indices, test_size=test_size, stratify=stratify, random_state=random_state)
    return np.asarray(split[1])


def _split_folds(rows: Indices, strata: Indices, groups: Indices, n_splits: int, random_state: int) -> list[Fold]:
    """Split rows once, stratified unless a stratum has fewer rows than folds, and by group if rows share groups."""
    has_rare_stratum = min(np.bincount(strata)[np.unique(strata)]) < n_splits
    if has_groups := _has_shared_groups(groups):
        splitter = model_selection.GroupKFold if has_rare_stratum else model_selection.StratifiedGroupKFold
    else:
        splitter = model_selection.KFold if has_rare_stratum else model_selection.StratifiedKFold
    split = splitter(n_splits, shuffle=True, random_state=random_state).split
    pairs = split(rows, strata, groups if has_groups else None)
    return [Fold(rows[train], rows[validation]) for train, validation in pairs]


def _has_shared_groups(groups: Indices) -> bool:
    return len(np.unique(groups)) < len(groups)


def _stratification_labels(examples: Examples) -> Indices:
    """Return the stratum of each row: its class, its set of labels, or the decile of its number."""
    if examples.target_kind == "classes":
        return examples.targets.astype(np.int64)
    if examples.target_kind == "labels":
        return np.unique(examples.targets, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    edges = np.unique(np.quantile(examples.targets, np.linspace(0, 1, QUANTILE_BINS + 1)[1:-1]))
    return np.searchsorted(edges, examples.targets, side="right").astype(np.int64)


def _check_group_count(examples: Examples, cv: CrossValidationConfig) -> None:
    """Raise DataError if there are too few groups for a random test set and the folds."""
    n_groups = len(np.unique(examples.groups))
    if not examples.test_mask.any() and n_groups <= cv.folds:
        rule = "needs more independent rows than that, some to test and some for each fold"
        raise DataError(f"cv.folds={cv.folds} {rule}; got {n_groups}: add examples{_fewer_folds_hint(cv)}")


def _fewer_folds_hint(cv: CrossValidationConfig) -> str:
    return ", or lower cv.folds" if cv.folds > 2 else ""


def _check_development(examples: Examples, development: Indices, cv: CrossValidationConfig) -> None:
    """Raise DataError unless there are as many groups as folds, and as many rows of each class."""
    n_groups = len(np.unique(examples.groups[development]))
    if n_groups < cv.folds:
        found = f"got {n_groups} outside the test rows: add examples{_fewer_folds_hint(cv)}"
        raise DataError(f"cv.folds={cv.folds} needs as many independent rows; {found}")
    if rare_classes := _find_rare_classes(examples, development, cv.folds):
        has_labels = examples.target_kind == "labels"
        rule = f"needs {cv.folds} rows {'with each label, and without it,' if has_labels else 'of each class'}"
        remedy = f"add examples, leave the {'label' if has_labels else 'class'} out{_fewer_folds_hint(cv)}"
        found = ", ".join(rare_classes)
        raise DataError(f"cv.folds={cv.folds} {rule} outside the test rows; got: {found}; {remedy}")


def _find_rare_classes(examples: Examples, development: Indices, folds: int) -> list[str]:
    """List the classes or labels with fewer rows than folds."""
    if examples.target_kind == "numbers":
        return []
    targets = examples.targets[development]
    names = list(map(shorten, examples.classes))
    if examples.target_kind == "classes":
        counts = np.bincount(targets.astype(np.int64), minlength=len(names))
        return [f"{name} has {count}" for name, count in zip(names, counts, strict=True) if count < folds]
    positives = targets.sum(axis=0).astype(np.int64)
    counts_by_name = zip(names, positives, len(targets) - positives, strict=True)
    return [f"{name} has {yes} and {no} without" for name, yes, no in counts_by_name if min(yes, no) < folds]
