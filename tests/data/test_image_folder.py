"""Folders of photographs: which folders are classes, which files are pictures, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import data
from pipeline.config.datasets import ImageFolder, TargetKind
from pipeline.data.examples import DataError, Examples, Images

REAL = Path(__file__).parents[3] / "shared" / "data"


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, in train/ and test/, each picture another one."""
    names = ["train/a/1.png", "train/a/deep/2.PNG", "train/b/1.jpeg", "test/a/1.png", "test/b/1.webp"]
    for seed, name in enumerate(names):
        picture(tmp_path / "photos" / name, seed)
    return tmp_path / "photos"


def loaded(root: Path, *, skip_bad: bool = False, size: int = 12) -> Examples:
    return data.load_examples(ImageFolder("folder", root, size, skip_bad), "classes", root.parent / "cache")


def refused(root: Path, *, skip_bad: bool = False) -> str:
    with pytest.raises(DataError) as error:
        loaded(root, skip_bad=skip_bad)
    return str(error.value)


def test_classes_names_and_test_part_come_from_the_folders(root: Path) -> None:
    examples = loaded(root)
    assert examples.classes == ("a", "b")
    assert examples.names == ("train/a/1.png", "train/a/deep/2.PNG", "train/b/1.jpeg", "test/a/1.png", "test/b/1.webp")
    assert examples.targets.tolist() == [0, 0, 1, 0, 1]
    assert examples.test_mask.tolist() == [False, False, False, True, True]
    assert examples.notes == ()
    assert isinstance(examples.inputs, Images)
    assert isinstance(examples.inputs.pixels, np.memmap)


def test_folder_of_classes_alone_has_no_test_part(root: Path) -> None:
    examples = loaded(root / "train")
    assert (examples.classes, examples.test_mask.any()) == (("a", "b"), np.False_)


def test_stray_files_and_hidden_folders_are_no_classes_and_no_pictures(root: Path) -> None:
    before = loaded(root)
    for name in ("README", "train/LICENSE", "train/a/notes.txt", "train/a/._1.png", "train/a/Thumbs.db"):
        (root / name).write_text("no picture")
    picture(root / "train" / ".ipynb_checkpoints" / "1.png", 9)
    picture(root / "train" / "a" / ".ipynb_checkpoints" / "1.png", 9)
    after = loaded(root)
    assert (after.names, after.fingerprint) == (before.names, before.fingerprint)


def test_refuses_pictures_of_other_formats_and_goes_on_without_them_where_asked(root: Path) -> None:
    Image.new("RGB", (9, 9)).save(root / "train" / "a" / "moving.gif")
    (root / "train" / "b" / "drawing.svg").write_text("<svg/>")
    said = refused(root)
    assert "2 of 7 files cannot be read" in said
    assert "train/a/moving.gif: .gif is not supported; JPEG, PNG, WEBP, BMP are" in said
    assert "train/b/drawing.svg: .svg is not supported" in said
    assert "dataset.skip_bad=true" in said
    examples = loaded(root, skip_bad=True)
    assert (len(examples), examples.targets.tolist()) == (5, [0, 0, 1, 0, 1])
    assert examples.notes == ("left out, since they cannot be read: 2 files",)


def test_refuses_empty_class_and_names_it(root: Path) -> None:
    (root / "train" / "c").mkdir()
    (root / "test" / "c").mkdir()
    said = refused(root)
    assert f"dataset.root: no image in {root}/train/c, {root}/test/c" in said
    assert "fill or remove it" in said


def test_refuses_class_that_only_test_has(root: Path) -> None:
    picture(root / "test" / "c" / "1.png", 9)
    assert "every class of test/ is in train/ too; only in test/: c" in refused(root)


def test_refuses_fewer_than_two_classes_and_shows_where_pictures_are_looked_for(root: Path) -> None:
    rule, one = "a folder for each of at least two classes, <root>/<class>/<image>.jpg; got ", root.parent / "one"
    said = refused(root / "test" / "a")
    assert said.startswith(f"dataset.root: {rule}none in {root}/test/a, and 1 images in no such folder; put them so: ")
    assert said.endswith(f"{root}/test/a/cat/1.jpg and {root}/test/a/dog/1.jpg")
    picture(one / "cats" / "1.png")
    assert refused(one) == f"dataset.root: {rule}cats in {one}; put them so: {one}/cats/1.jpg and {one}/cat/1.jpg"


@pytest.mark.parametrize("name", ["Train", "training"])
def test_refuses_test_folder_that_would_become_a_class(name: str, root: Path) -> None:
    (root / "train").rename(root / name)
    said = refused(root)
    assert "written so and train/ among them, or just <class>/; got " in said
    assert f"test in {root}" in said


def test_folder_beside_train_and_test_is_said_to_be_unused(root: Path) -> None:
    picture(root / "validation" / "a" / "1.png", 9)
    assert loaded(root).notes == ("not used, beside train/ and test/: validation/",)


def test_link_to_a_folder_is_no_class_and_a_link_loop_ends(root: Path) -> None:
    (root / "train" / "a" / "again").symlink_to(root)
    assert len(loaded(root)) == 5
    (root / "train" / "c").symlink_to(root / "train")
    said = refused(root)
    assert "links to folders are not followed" in said
    assert f"{root}/train/c" in said


def test_pipe_is_a_bad_file_and_does_not_hang(root: Path) -> None:
    os.mkfifo(root / "train" / "a" / "pipe.jpg")
    assert "train/a/pipe.jpg: not a regular file" in refused(root)


def test_names_from_outside_are_escaped(root: Path) -> None:
    picture(root / "train" / "a" / "\x1b[31m\n\u202e.png", 9)
    picture(root / "train" / "new\nline" / "1.png", 10)
    examples = loaded(root)
    assert examples.classes == ("a", "b", "new\\nline")
    assert all(name.isprintable() for name in examples.names)


def test_refuses_to_leave_out_a_whole_class(root: Path) -> None:
    (root / "train" / "b" / "1.jpeg").write_text("no picture")
    assert "no training image can be read of class b" in refused(root, skip_bad=True)


def test_copies_share_a_group_and_are_noted(root: Path) -> None:
    (root / "test" / "a" / "copy.png").write_bytes((root / "train" / "a" / "1.png").read_bytes())
    examples = loaded(root)
    assert examples.groups[examples.names.index("test/a/copy.png")] == examples.groups[0]
    assert examples.notes == ("images that are duplicates of another: 1; duplicates stay on one side of every split",)


def test_same_pictures_elsewhere_have_the_same_fingerprint(root: Path) -> None:
    first = loaded(root).fingerprint
    moved = root.rename(root.parent / "elsewhere")
    assert loaded(moved).fingerprint == first
    picture(moved / "train" / "a" / "1.png", 77)
    assert loaded(moved).fingerprint != first


@pytest.mark.parametrize("wants", ["labels", "numbers"])
def test_refuses_other_targets_before_anything_is_decoded(wants: TargetKind, root: Path) -> None:
    with pytest.raises(DataError, match="dataset=folder gives one class a row: head=softmax"):
        data.load_examples(ImageFolder("folder", root, 12, False), wants, root.parent / "cache")
    assert not (root.parent / "cache").exists()


@pytest.mark.parametrize(
    ("name", "classes", "rows", "tested", "copies"),
    [("cat_species", 12, 2364, 1179, 0), ("day_night", 2, 400, 160, 1), ("animals", 3, 1800, 300, 0)],
)
def test_real_folders_are_read_whole(
    name: str, classes: int, rows: int, tested: int, copies: int, tmp_path: Path
) -> None:
    if not (REAL / name).is_dir():
        pytest.skip(f"{name} is not here")
    examples = data.load_examples(ImageFolder("folder", REAL / name, 32, False), "classes", tmp_path)
    assert (len(examples.classes), len(examples), int(examples.test_mask.sum())) == (classes, rows, tested)
    assert rows - len(set(examples.groups.tolist())) == copies
