"""Which rows are held out, which train, which judge; decided once per search, before trial 0."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    train_test_split,
)

from pipeline.config.schema import CrossValidationConfig
from pipeline.data.examples import DataError, Examples
from pipeline.runtime import seeds
from pipeline.runtime.text import shorten

Indices = NDArray[np.int64]
QUANTILE_BINS = 10


@dataclass(frozen=True)
class Fold:
    """One split of the development rows: those that train a network, and those that judge it."""

    train: Indices
    validation: Indices


@dataclass(frozen=True)
class Folds:
    """test: the held-out rows, opened once at the end; development: all others; folds: splits of development.

    left_out: rows that neither train nor test, because they share a group with a row of the data set's own test part.
    """

    test: Indices
    development: Indices
    folds: tuple[Fold, ...]
    excluded: Indices

    @property
    def fingerprint(self) -> str:
        """SHA-256 of every split, in order."""
        digest = hashlib.sha256(self.test.tobytes())
        for fold in self.folds:
            digest.update(fold.train.tobytes() + fold.validation.tobytes())
        return digest.hexdigest()


def make_folds(examples: Examples, cv: CrossValidationConfig, seed: int) -> Folds:
    """The held-out test rows first, then `cv.folds` folds of the others, `cv.repeats` times.

    Stratified by class, by set of labels, or by quantile of a number; rows of one group stay on one side.
    Raises DataError where there are too few rows or groups, or a class with fewer rows than folds.
    """
    _check_group_count(examples, cv)
    stratify_labels = _stratification_labels(examples)
    test = _select_test_indices(examples, stratify_labels, cv, seed)
    shares_test_group = np.isin(examples.groups, examples.groups[test])
    development = np.flatnonzero(~shares_test_group)
    excluded = np.setdiff1d(np.flatnonzero(shares_test_group), test)
    _check_development(examples, development, cv)
    folds = [
        fold
        for repeat in range(cv.repeats)
        for fold in _make_cv_folds(examples, stratify_labels, development, cv, seed, repeat)
    ]
    return Folds(np.sort(test), development, tuple(folds), excluded)


def stratified_subset(examples: Examples, indices: Indices, fraction: float, random_state: int) -> Indices:
    """About a share of some rows, by chance: whole groups, and of each stratum that share as nearly as can be.

    Every so-manieth group is taken, of all of them in a random order within their strata (systematic sampling).
    """
    rng = np.random.default_rng(random_state)
    row_groups = examples.groups[indices]
    groups, first = np.unique(row_groups, return_index=True)
    order = np.lexsort((rng.random(len(groups)), _stratification_labels(examples)[indices[first]]))
    is_selected = np.diff(np.floor(np.arange(len(groups) + 1) * fraction + rng.random())) > 0
    return indices[np.isin(row_groups, groups[order[is_selected]])]


def _select_test_indices(examples: Examples, stratify_labels: Indices, cv: CrossValidationConfig, seed: int) -> Indices:
    """The data set's own test part; otherwise a share of the rows, by group where rows share one."""
    if examples.test_mask.any():
        return np.flatnonzero(examples.test_mask)
    indices = np.arange(len(examples))
    random_state = seeds.derive_seed(seed, "test")
    if _has_shared_groups(examples, indices):
        splitter = GroupShuffleSplit(1, test_size=cv.test, random_state=random_state)
        return np.asarray(next(splitter.split(indices, groups=examples.groups))[1])
    counts = np.bincount(stratify_labels)
    can_stratify = min(counts) >= 2 and len(counts) <= min(cv.test, 1 - cv.test) * len(indices)
    stratify = stratify_labels if can_stratify else None
    return np.asarray(train_test_split(indices, test_size=cv.test, stratify=stratify, random_state=random_state)[1])


def _make_cv_folds(
    examples: Examples,
    stratify_labels: Indices,
    development: Indices,
    cv: CrossValidationConfig,
    seed: int,
    repeat: int,
) -> Iterator[Fold]:
    random_state = seeds.derive_seed(seed, "folds", repeat)
    development_labels = stratify_labels[development]
    groups = examples.groups[development]
    has_groups = _has_shared_groups(examples, development)
    has_rare_class = min(np.bincount(development_labels)[np.unique(development_labels)]) < cv.folds
    splitter_class = {
        (False, False): StratifiedKFold,
        (False, True): KFold,
        (True, False): StratifiedGroupKFold,
        (True, True): GroupKFold,
    }[has_groups, bool(has_rare_class)]
    splits = splitter_class(cv.folds, shuffle=True, random_state=random_state).split(
        development, development_labels, groups if has_groups else None
    )
    for train, validation in splits:
        yield Fold(development[train], development[validation])


def _has_shared_groups(examples: Examples, indices: Indices) -> bool:
    return len(np.unique(examples.groups[indices])) < len(indices)


def _stratification_labels(examples: Examples) -> Indices:
    """What each row counts as when shares are kept equal: its class, its set of labels, or its tenth."""
    if examples.target_kind == "classes":
        return examples.targets.astype(np.int64)
    if examples.target_kind == "labels":
        return np.unique(examples.targets, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    edges = np.unique(np.quantile(examples.targets, np.linspace(0, 1, QUANTILE_BINS + 1)[1:-1]))
    return np.searchsorted(edges, examples.targets, side="right").astype(np.int64)


def _check_group_count(examples: Examples, cv: CrossValidationConfig) -> None:
    """Where test rows are to be drawn, there are rows to draw them from."""
    group_count = len(np.unique(examples.groups))
    if not examples.test_mask.any() and group_count <= cv.folds:
        raise DataError(
            f"cv.folds={cv.folds} needs more independent rows than that, some to test and some for each fold; "
            f"got {group_count}: add examples{_fewer_folds_hint(cv)}"
        )


def _fewer_folds_hint(cv: CrossValidationConfig) -> str:
    return ", or lower cv.folds" if cv.folds > 2 else ""


def _check_development(examples: Examples, development: Indices, cv: CrossValidationConfig) -> None:
    """Every fold needs a row of every class, and there must be as many independent rows as folds."""
    group_count = len(np.unique(examples.groups[development]))
    if group_count < cv.folds:
        found = f"got {group_count} outside the test rows: add examples{_fewer_folds_hint(cv)}"
        raise DataError(f"cv.folds={cv.folds} needs as many independent rows; {found}")
    if rare_classes := _find_rare_classes(examples, development, cv.folds):
        condition = "with each label, and without it," if examples.target_kind == "labels" else "of each class"
        removable = "the label" if examples.target_kind == "labels" else "the class"
        raise DataError(
            f"cv.folds={cv.folds} needs {cv.folds} rows {condition} outside the test rows; "
            f"got: {', '.join(rare_classes)}; add examples, leave {removable} out{_fewer_folds_hint(cv)}"
        )


def _find_rare_classes(examples: Examples, development: Indices, folds: int) -> list[str]:
    """The classes, or labels, of which some fold would have none."""
    if examples.target_kind == "numbers":
        return []
    targets = examples.targets[development]
    names = list(map(shorten, examples.classes))
    if examples.target_kind == "classes":
        counts = np.bincount(targets.astype(np.int64), minlength=len(names))
        return [f"{name} has {count}" for name, count in zip(names, counts, strict=True) if count < folds]
    positives = targets.sum(axis=0).astype(np.int64)
    counted = zip(names, positives, len(targets) - positives, strict=True)
    return [f"{name} has {yes} and {no} without" for name, yes, no in counted if min(yes, no) < folds]
