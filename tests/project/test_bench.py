"""The benchmark: every side does the same work; its times are not looked at here."""

from pathlib import Path

import pytest

from bench import pictures
from bench.__main__ import main
from bench.cases import Case, prepare_case
from bench.sides import SIDES
from tests.data.untrusted_images import encoded


def test_every_side_names_the_same_rows_right() -> None:
    case = Case("tiny", 8, (4,), epochs=2)
    task, folds = prepare_case(case, rows=240)
    expected = SIDES["ours"](case, task, folds)
    assert len(expected) == 5
    for side in SIDES.values():
        assert side(case, task, folds) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("word", ["case=A,Z", "side=ours,mine", "search=cats", "growth=time"])
def test_unknown_name_is_refused_in_one_line(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 2
    assert capsys.readouterr().err.startswith(f"{word.split('=')[0]}: one of ")


def test_speed_of_reading_is_told_also_where_some_are_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good.png").write_bytes(encoded("PNG"))
    (tmp_path / "bad.png").touch()
    assert pictures.main([str(tmp_path), "2"]) == 0
    assert capsys.readouterr().out.startswith("2 images: median ")
