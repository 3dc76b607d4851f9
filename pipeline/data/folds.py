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

from pipeline.config.schema import CrossValidation
from pipeline.data.examples import DataError, Examples
from pipeline.runtime import seeds
from pipeline.runtime.text import shown

Rows = NDArray[np.int64]
QUANTILES = 10


@dataclass(frozen=True)
class Fold:
    """One split of the development rows: those that train a network, and those that judge it."""

    train: Rows
    validation: Rows


@dataclass(frozen=True)
class Folds:
    """test: the held-out rows, opened once at the end; development: all others; folds: splits of development.

    left_out: rows that neither train nor test, because they share a group with a row of the data set's own test part.
    """

    test: Rows
    development: Rows
    folds: tuple[Fold, ...]
    left_out: Rows

    @property
    def fingerprint(self) -> str:
        """SHA-256 of every split, in order."""
        digest = hashlib.sha256(self.test.tobytes())
        for fold in self.folds:
            digest.update(fold.train.tobytes() + fold.validation.tobytes())
        return digest.hexdigest()


def split(examples: Examples, cv: CrossValidation, seed: int) -> Folds:
    """The held-out test rows first, then `cv.folds` folds of the others, `cv.repeats` times.

    Stratified by class, by set of labels, or by quantile of a number; rows of one group stay on one side.
    Raises DataError where there are too few rows or groups, or a class with fewer rows than folds.
    """
    _check_rows(examples, cv)
    strata = _strata(examples)
    test = _test_rows(examples, strata, cv, seed)
    in_test = np.isin(examples.groups, examples.groups[test])
    development = np.flatnonzero(~in_test)
    left_out = np.setdiff1d(np.flatnonzero(in_test), test)
    _check(examples, development, cv)
    folds = [fold for repeat in range(cv.repeats) for fold in _folds(examples, strata, development, cv, seed, repeat)]
    return Folds(np.sort(test), development, tuple(folds), left_out)


def part(examples: Examples, rows: Rows, share: float, state: int) -> Rows:
    """About a share of some rows, by chance: whole groups, and of each stratum that share as nearly as can be.

    Every so-manieth group is taken, of all of them in a random order within their strata (systematic sampling).
    """
    noise, own = np.random.default_rng(state), examples.groups[rows]
    groups, first = np.unique(own, return_index=True)
    order = np.lexsort((noise.random(len(groups)), _strata(examples)[rows[first]]))
    taken = np.diff(np.floor(np.arange(len(groups) + 1) * share + noise.random())) > 0
    return rows[np.isin(own, groups[order[taken]])]


def _test_rows(examples: Examples, strata: Rows, cv: CrossValidation, seed: int) -> Rows:
    """The data set's own test part; otherwise a share of the rows, by group where rows share one."""
    if examples.test.any():
        return np.flatnonzero(examples.test)
    rows, state = np.arange(len(examples)), seeds.number(seed, "test")
    if _grouped(examples, rows):
        splitter = GroupShuffleSplit(1, test_size=cv.test, random_state=state)
        return np.asarray(next(splitter.split(rows, groups=examples.groups))[1])
    counts = np.bincount(strata)
    fits = min(counts) >= 2 and len(counts) <= min(cv.test, 1 - cv.test) * len(rows)
    stratify = strata if fits else None
    return np.asarray(train_test_split(rows, test_size=cv.test, stratify=stratify, random_state=state)[1])


def _folds(
    examples: Examples, strata: Rows, development: Rows, cv: CrossValidation, seed: int, repeat: int
) -> Iterator[Fold]:
    state = seeds.number(seed, "folds", repeat)
    here, groups = strata[development], examples.groups[development]
    grouped, rare = _grouped(examples, development), min(np.bincount(here)[np.unique(here)]) < cv.folds
    kind = {
        (False, False): StratifiedKFold,
        (False, True): KFold,
        (True, False): StratifiedGroupKFold,
        (True, True): GroupKFold,
    }[grouped, bool(rare)]
    splits = kind(cv.folds, shuffle=True, random_state=state).split(development, here, groups if grouped else None)
    for train, validation in splits:
        yield Fold(development[train], development[validation])


def _grouped(examples: Examples, rows: Rows) -> bool:
    return len(np.unique(examples.groups[rows])) < len(rows)


def _strata(examples: Examples) -> Rows:
    """What each row counts as when shares are kept equal: its class, its set of labels, or its tenth."""
    if examples.kind == "classes":
        return examples.targets.astype(np.int64)
    if examples.kind == "labels":
        return np.unique(examples.targets, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    edges = np.unique(np.quantile(examples.targets, np.linspace(0, 1, QUANTILES + 1)[1:-1]))
    return np.searchsorted(edges, examples.targets, side="right").astype(np.int64)


def _check_rows(examples: Examples, cv: CrossValidation) -> None:
    """Where test rows are to be drawn, there are rows to draw them from."""
    independent = len(np.unique(examples.groups))
    if not examples.test.any() and independent <= cv.folds:
        raise DataError(
            f"cv.folds={cv.folds} needs more independent rows than that, some to test and some for each fold; "
            f"got {independent}: add examples{_fewer_folds(cv)}"
        )


def _fewer_folds(cv: CrossValidation) -> str:
    return ", or lower cv.folds" if cv.folds > 2 else ""


def _check(examples: Examples, development: Rows, cv: CrossValidation) -> None:
    """Every fold needs a row of every class, and there must be as many independent rows as folds."""
    independent = len(np.unique(examples.groups[development]))
    if independent < cv.folds:
        found = f"got {independent} outside the test rows: add examples{_fewer_folds(cv)}"
        raise DataError(f"cv.folds={cv.folds} needs as many independent rows; {found}")
    if few := _few(examples, development, cv.folds):
        each = "with each label, and without it," if examples.kind == "labels" else "of each class"
        out = "the label" if examples.kind == "labels" else "the class"
        raise DataError(
            f"cv.folds={cv.folds} needs {cv.folds} rows {each} outside the test rows; "
            f"got: {', '.join(few)}; add examples, leave {out} out{_fewer_folds(cv)}"
        )


def _few(examples: Examples, development: Rows, folds: int) -> list[str]:
    """The classes, or labels, of which some fold would have none."""
    if examples.kind == "numbers":
        return []
    targets, names = examples.targets[development], list(map(shown, examples.classes))
    if examples.kind == "classes":
        counts = np.bincount(targets.astype(np.int64), minlength=len(names))
        return [f"{name} has {count}" for name, count in zip(names, counts, strict=True) if count < folds]
    have = targets.sum(axis=0).astype(np.int64)
    counted = zip(names, have, len(targets) - have, strict=True)
    return [f"{name} has {yes} and {no} without" for name, yes, no in counted if min(yes, no) < folds]
