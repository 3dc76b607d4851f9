"""HDF5 files: pictures, class numbers and names under the keys of the configuration."""

import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import data
from pipeline.config.datasets import Hdf5
from pipeline.data.examples import DataError, Examples, Images

REAL = Path(__file__).parents[3] / "shared" / "data" / "cat_presence"
PIXELS: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), dtype=np.uint8)


def written(path: Path, **arrays: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def asked(train: Path, test: Path | None = None, *, classes: str | None = "names", size: int = 8) -> Hdf5:
    return Hdf5("hdf5", train, test, "x", "y", "tx", "ty", classes, size)


def loaded(dataset: Hdf5) -> Examples:
    return data.load_examples(dataset, "classes", Path("unused"))


def refused(dataset: Hdf5) -> str:
    with pytest.raises(DataError) as error:
        loaded(dataset)
    return str(error.value)


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return written(tmp_path / "train.h5", x=PIXELS, y=[[0, 1, 1, 0]], names=np.array([b"dog", b"cat"]))


def test_pictures_classes_and_test_part_are_read(train: Path, tmp_path: Path) -> None:
    test = written(tmp_path / "test.h5", tx=PIXELS[:2] // 2, ty=[1, 0])
    examples = loaded(asked(train, test))
    assert isinstance(examples.inputs, Images)
    assert (examples.inputs.pixels[:4] == PIXELS.transpose(0, 3, 1, 2)).all()
    assert (examples.classes, examples.targets.tolist()) == (("dog", "cat"), [0, 1, 1, 0, 1, 0])
    assert examples.test_mask.tolist() == [False] * 4 + [True] * 2
    assert examples.names[4] == "test 0"
    assert examples.notes == ()


def test_names_of_classes_may_be_texts_or_left_out(train: Path, tmp_path: Path) -> None:
    texts = np.array(["dog", "c\nt"], dtype=h5py.string_dtype())
    assert loaded(asked(written(tmp_path / "t.h5", x=PIXELS, y=[0, 1, 1, 0], names=texts))).classes == ("dog", "c\\nt")
    assert loaded(asked(train, classes=None)).classes == ("0", "1")


def test_pictures_are_resized_where_asked(train: Path) -> None:
    inputs = loaded(asked(train, size=16)).inputs
    assert isinstance(inputs, Images)
    assert inputs.pixels.shape == (4, 3, 16, 16)


def test_copies_in_both_files_share_a_group_and_are_noted(train: Path, tmp_path: Path) -> None:
    examples = loaded(asked(train, written(tmp_path / "test.h5", tx=PIXELS[:1], ty=[0])))
    assert examples.groups.tolist() == [0, 1, 2, 3, 0]
    assert examples.notes == ("images that are duplicates of another: 1; duplicates stay on one side of every split",)


def test_all_missing_keys_are_said_with_what_the_file_has(train: Path) -> None:
    said = refused(replace(asked(train, classes="classes"), train_inputs="images"))
    assert "no array images; it has names, x, y: name one with dataset.train_inputs=" in said
    assert "no array classes; it has names, x, y: name one with dataset.classes= (null:" in said


def test_refuses_arrays_of_another_kind(tmp_path: Path) -> None:
    file = tmp_path / "odd.h5"
    grey = asked(written(file, x=PIXELS[..., 0], y=[0, 1, 1, 0]), classes=None)
    assert "x: images are uint8 [N, H, W, 3]; got uint8 [4, 8, 8]" in refused(grey)
    scaled = asked(written(file, x=PIXELS / 255, y=[0, 1, 1, 0]), classes=None)
    assert "x: images are uint8 [N, H, W, 3]; got float64 [4, 8, 8, 3]" in refused(scaled)
    short = asked(written(file, x=PIXELS, y=[0, 1]), classes=None)
    assert "y: a class number for each of 4 images; got int64 [2]" in refused(short)
    nothing = asked(written(file, x=PIXELS[:0], y=np.zeros(0, int)), classes=None)
    assert "got uint8 [0, 8, 8, 3]" in refused(nothing)


def test_refuses_array_that_claims_more_than_it_could_hold(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        file.create_dataset("x", (10**9, 64, 64, 3), np.uint8, chunks=(1, 64, 64, 3))
        file["y"] = [0]
    assert "x: at most 16,000,000,000 bytes are read" in refused(asked(tmp_path / "bomb.h5", classes=None))


def test_refuses_class_numbers_without_a_name(tmp_path: Path) -> None:
    file = written(tmp_path / "odd.h5", x=PIXELS, y=[0, 1, 2, -1], names=np.array([b"dog", b"cat"]))
    assert "dataset.train_targets, test_targets: numbers from 0 to 1; got -1 to 2" in refused(asked(file))


def test_refuses_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no HDF5")
    assert "text.h5: no HDF5 file" in refused(asked(tmp_path / "text.h5"))


def test_real_cats_are_read_whole() -> None:
    if not REAL.is_dir():
        pytest.skip("cat_presence is not here")
    keys = ("train_set_x", "train_set_y", "test_set_x", "test_set_y", "list_classes", 64)
    examples = loaded(Hdf5("hdf5", REAL / "train_catvnoncat.h5", REAL / "test_catvnoncat.h5", *keys))
    assert (len(examples), int(examples.test_mask.sum()), examples.classes) == (259, 50, ("non-cat", "cat"))
    assert int(examples.targets[examples.test_mask].sum()) == 33


def test_pipe_is_no_hang_and_one_class_is_no_question(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    assert "no HDF5 file" in refused(asked(tmp_path / "pipe.h5"))
    one = written(tmp_path / "one.h5", x=PIXELS, y=[0, 0, 0, 0])
    assert "dataset: at least two classes; got 0 in every one of 4 rows" in refused(asked(one, classes=None))


def test_very_long_class_names_are_refused_in_a_short_line(tmp_path: Path) -> None:
    names = np.array([b"x" * 1_000_000, b"cat"])
    said = refused(asked(written(tmp_path / "long.h5", x=PIXELS, y=[0, 1, 1, 0], names=names)))
    assert "a class has a name of at most 1,000 characters; got xxx" in said
    assert len(said) < 300
