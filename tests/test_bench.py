"""The benchmark: every side does the same work; its times are not looked at here."""

import pytest

from bench.cases import Case, prepared
from bench.sides import SIDES


def test_every_side_names_the_same_rows_right() -> None:
    case = Case("tiny", 8, (4,), epochs=2)
    task, folds = prepared(case, rows=240)
    expected = SIDES["ours"](case, task, folds)
    assert len(expected) == 5
    for side in SIDES.values():
        assert side(case, task, folds) == pytest.approx(expected, abs=0.03)
