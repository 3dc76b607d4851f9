"""Label tables: labels, one class or a number a picture; and every mistake at once."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import data
from pipeline.config.datasets import LabeledImages, TargetKind
from pipeline.data.examples import DataError, Examples

REAL = Path(__file__).parents[3] / "shared" / "data" / "animals_together" / "labels.csv"
PATHS = [f"photos/{number}.png" for number in range(4)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a table goes, beside four pictures."""
    (tmp_path / "photos").mkdir()
    for number, path in enumerate(PATHS):
        pixels = np.random.default_rng(number).integers(0, 255, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / path)
    return tmp_path / "labels.csv"


def loaded(file: Path, wants: TargetKind, **columns: list[object]) -> Examples:
    if columns:
        pd.DataFrame(columns).to_csv(file, index=False)
    return data.load_examples(LabeledImages("labels", file, 12, False), wants, file.parent / "cache")


def refused(file: Path, wants: TargetKind, **columns: list[object]) -> str:
    with pytest.raises(DataError) as error:
        loaded(file, wants, **columns)
    return str(error.value)


def test_every_column_is_a_label(file: Path) -> None:
    split = ["train", "train", "test", "train"]
    examples = loaded(file, "labels", path=PATHS, cat=[0, 1, 1, 0], lion=[1, 1, 0, 0], split=split)
    assert (examples.target_kind, examples.classes) == ("labels", ("cat", "lion"))
    assert (examples.targets.dtype, examples.targets.tolist()) == (np.float32, [[0, 1], [1, 1], [1, 0], [0, 0]])
    assert examples.test_mask.tolist() == [False, False, True, False]
    assert examples.names == tuple(PATHS)


def test_one_column_is_two_classes(file: Path) -> None:
    examples = loaded(file, "classes", path=PATHS, cat=[0, 1, 1, 0])
    assert (examples.classes, examples.targets.tolist()) == (("not cat", "cat"), [0, 1, 1, 0])
    assert not examples.test_mask.any()


def test_one_column_is_a_number(file: Path) -> None:
    examples = loaded(file, "numbers", path=PATHS, age=[0.5, 1, 12, -3])
    assert (examples.classes, examples.targets.tolist()) == ((), [0.5, 1, 12, -3])
    assert examples.targets.dtype == np.float32


def test_all_mistakes_are_said_at_once(file: Path) -> None:
    path = ["photos/0.png", "./photos/0.png", "gone.png", "../x.png"]
    said = refused(file, "labels", path=path, cat=[0, 1, 2, "x"], split=["train", "tset", "", "test"])
    for line in (
        f"dataset.file: {file} has 7 mistakes:",
        "line 3, path: each image is listed once; got ./photos/0.png again",
        "line 4, path: no such file: gone.png",
        "line 5, path: inside the folder of the file; got ../x.png",
        "line 3, split: train or test; got 'tset'",
        "line 4, split: train or test; got ''",
        "line 4, cat: 0 or 1; got '2'",
        "line 5, cat: 0 or 1; got 'x'",
    ):
        assert line in said


def test_refuses_paths_out_of_the_folder(file: Path) -> None:
    said = refused(file, "labels", path=["/etc/passwd", "a/../../b.png", "", "x" * 5000], cat=[0, 1, 0, 1])
    assert "line 2, path: inside the folder of the file; got /etc/passwd" in said
    assert "line 3, path: inside the folder of the file; got a/../../b.png" in said
    assert "line 4, path: the name of an image; got ''" in said
    assert "line 5, path: no such file: xxx" in said
    assert len(said) < 600


def test_of_very_many_mistakes_the_first_hundred_are_said(file: Path) -> None:
    said = refused(file, "labels", path=[f"{row}.png" for row in range(150)], cat=[0, 1] * 75)
    assert "has 150 mistakes" in said
    assert "and 50 more" in said
    assert len(said.splitlines()) == 102


def test_refuses_table_without_path_or_without_a_column(file: Path) -> None:
    assert "dataset.file: a column path; got photo, cat" in refused(file, "labels", photo=PATHS, cat=[0, 1, 1, 0])
    assert "a column for each label, or one with a number; got only path" in refused(file, "labels", path=PATHS)
    assert "has no rows" in refused(file, "labels", path=[], cat=[])


@pytest.mark.parametrize("wants", ["classes", "numbers"])
def test_one_answer_a_row_needs_one_column(wants: TargetKind, file: Path) -> None:
    said = refused(file, wants, path=PATHS, cat=[0, 1, 1, 0], dog=[1, 0, 0, 1])
    assert "one column beside path and split for this head; got cat, dog (for labels: head=sigmoids)" in said


def test_refuses_words_infinities_and_gaps_as_numbers(file: Path) -> None:
    said = refused(file, "numbers", path=PATHS, age=["old", "inf", "", "1e300"])
    for line in ("line 2, age: a number; got 'old'", "line 3", "line 4, age: a number; got ''", "line 5"):
        assert line in said


def test_refuses_table_in_which_nothing_is_for_training(file: Path) -> None:
    said = refused(file, "classes", path=PATHS, cat=[0, 1, 1, 0], split=["test"] * 4)
    assert "split: train for some rows; got test in every row" in said


def test_refuses_columns_of_one_name_and_rows_that_are_too_long(file: Path) -> None:
    file.write_text("path,cat,cat\nphotos/0.png,0,1\n")
    assert "each column has its own name; got twice: cat" in refused(file, "labels")
    file.write_text("path,cat\nphotos/0.png,0,1\n")
    assert "a row has more cells than the first line has names" in refused(file, "labels")
    file.write_bytes(b"\xff\xfe\0path")
    assert "dataset.file: a CSV file; got" in refused(file, "labels")


def test_bad_pictures_are_listed_by_their_path(file: Path) -> None:
    (file.parent / PATHS[1]).write_text("no picture")
    assert "photos/1.png: not an image" in refused(file, "classes", path=PATHS, cat=[0, 1, 1, 0])
    skipping = LabeledImages("labels", file, 12, True)
    examples = data.load_examples(skipping, "classes", file.parent / "cache")
    assert examples.targets.tolist() == [0, 1, 0]
    assert examples.names == (PATHS[0], PATHS[2], PATHS[3])


def test_a_column_that_is_no_label_at_all_is_one_line(file: Path) -> None:
    rows = [f"{row}.png" for row in range(20)]
    said = refused(file, "labels", path=rows, cat=[0, 1] * 10, note=["\x1b[31m=cmd()"] * 20)
    assert "note: 0 or 1 in every row; got none, but '\\x1b[31m=cmd()' in line 2: fix or remove the column" in said
    assert said.count("note:") == 1


@pytest.mark.parametrize("wants", ["classes", "labels", "numbers"])
def test_refuses_a_column_that_says_the_same_of_every_picture(wants: TargetKind, file: Path) -> None:
    said = refused(file, wants, path=PATHS, cat=[1] * 4)
    assert "cat: not the same in every row, or nothing can be learned; got '1': remove the column" in said


def test_very_long_names_and_cells_are_cut_short(file: Path) -> None:
    huge = "x" * 10_000_000
    said = refused(file, "labels", path=[huge, *PATHS[1:]], cat=[0, 1, 0, huge], split=[huge, "train", "train", "test"])
    assert len(said) < 1000
    assert "(10,000,000 characters)" in said
    assert "field larger than field limit" in refused(file, "labels", **{"path": PATHS, huge: [0, 1, 1, 0]})
    assert "a class has a name of at most 1,000 characters; got xxx" in refused(
        file, "labels", **{"path": PATHS, "x" * 2000: [0, 1, 1, 0]}
    )


def test_pipe_or_device_as_a_table_is_no_hang(file: Path) -> None:
    os.mkfifo(file)
    assert "dataset.file: a CSV file; got" in refused(file, "labels")
    file.unlink()
    file.symlink_to("/dev/zero")
    assert "(not a regular file)" in refused(file, "labels")
    file.unlink()
    assert "(No such file or directory)" in refused(file, "labels")
    file.mkdir()
    assert "(a folder and no file)" in refused(file, "labels")


def test_real_labels_are_read_whole(tmp_path: Path) -> None:
    if not REAL.is_file():
        pytest.skip("animals_together is not here")
    examples = data.load_examples(LabeledImages("labels", REAL, 64, False), "labels", tmp_path)
    assert (len(examples), int(examples.test_mask.sum()), len(examples.classes)) == (1200, 200, 3)
