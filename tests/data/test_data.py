"""Data sets: folders, label tables, HDF5 files and tables become examples, or say what is wrong with them."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import data
from pipeline.config.overrides import ConfigError
from pipeline.config.reader import read_search
from pipeline.data.examples import DataError, Examples
from tests.conftest import SHARED


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def loaded(tmp_path: Path, task: str, *words: str) -> Examples:
    search = read_search([f"task={task}", *words])

    return data.load_examples(search.dataset, search.head.spec.target_kind, tmp_path / "cache")


def refused(tmp_path: Path, task: str, *words: str) -> str:
    with pytest.raises(DataError) as error:
        loaded(tmp_path, task, *words)
    return str(error.value)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for seed, name in enumerate(["train/a/1.png", "train/a/2.png", "train/b/1.png", "test/a/1.png", "test/b/1.png"]):
        picture(root / name, seed)
    (root / "README").touch()
    (root / "train" / "LICENSE").touch()
    (root / "train" / ".ipynb_checkpoints").mkdir()
    return root


def test_folder_has_its_classes_and_its_own_test_part(photos: Path, tmp_path: Path) -> None:
    examples = loaded(tmp_path, "cat_species", "dataset=folder", f"dataset.root={photos}", "dataset.size=12")
    assert examples.classes == ("a", "b")
    assert examples.targets.tolist() == [0, 0, 1, 0, 1]
    assert examples.test_mask.tolist() == [False, False, False, True, True]
    assert examples.names[2] == "train/b/1.png"
    assert len(set(examples.groups.tolist())) == 5


def test_folder_of_classes_alone_has_no_test_part(photos: Path, tmp_path: Path) -> None:
    words = ("dataset=folder", f"dataset.root={photos / 'train'}")
    assert not loaded(tmp_path, "cat_species", *words).test_mask.any()


def test_same_pictures_elsewhere_have_the_same_fingerprint(photos: Path, tmp_path: Path) -> None:
    first = loaded(tmp_path, "cat_species", "dataset=folder", f"dataset.root={photos}")
    moved = photos.rename(tmp_path / "elsewhere")
    assert loaded(tmp_path, "cat_species", "dataset=folder", f"dataset.root={moved}").fingerprint == first.fingerprint
    picture(moved / "train/a/1.png", 77)
    assert loaded(tmp_path, "cat_species", "dataset=folder", f"dataset.root={moved}").fingerprint != first.fingerprint


def test_refuses_empty_class_and_names_it(photos: Path, tmp_path: Path) -> None:
    (photos / "train" / "c").mkdir()
    said = refused(tmp_path, "cat_species", "dataset=folder", f"dataset.root={photos}")
    assert f"dataset.root: no image in {photos}/train/c" in said


def test_refuses_a_single_class_and_a_class_only_in_test(photos: Path, tmp_path: Path) -> None:
    picture(photos / "test/c/1.png", 9)
    said = refused(tmp_path, "cat_species", "dataset=folder", f"dataset.root={photos}")
    assert "every class of test/ is in train/ too; only in test/: c" in said
    said = refused(tmp_path, "cat_species", "dataset=folder", f"dataset.root={photos / 'train' / 'a'}")
    assert "a folder for each of at least two classes, <root>/<class>/<image>.jpg; got none in" in said


Table = Callable[[dict[str, list[object]]], Path]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    def write(columns: dict[str, list[object]]) -> Path:
        pd.DataFrame(columns).to_csv(tmp_path / "table.csv", index=False)
        return tmp_path / "table.csv"

    for number in range(4):
        picture(tmp_path / f"{number}.png", number)
    return write


PATHS: list[object] = [f"{number}.png" for number in range(4)]


def test_labels_one_class_and_numbers_from_a_csv(table: Table, tmp_path: Path) -> None:
    file = table(
        {"path": PATHS, "cat": [0, 1, 1, 0], "lion": [1, 1, 0, 0], "split": ["train", "train", "test", "train"]}
    )
    labels = loaded(tmp_path, "animals_together", "dataset=labels", f"dataset.file={file}")
    assert (labels.classes, labels.targets.tolist()) == (("cat", "lion"), [[0, 1], [1, 1], [1, 0], [0, 0]])
    assert labels.test_mask.tolist() == [False, False, True, False]
    file = table({"path": PATHS, "cat": [0, 1, 1, 0]})
    one = loaded(tmp_path, "cat_presence", "dataset=labels", f"dataset.file={file}")
    assert (one.classes, one.targets.tolist()) == (("not cat", "cat"), [0, 1, 1, 0])
    file = table({"path": PATHS, "age": [0.5, 1, 12, 3]})
    ages = loaded(tmp_path, "cat_age_years", "dataset=labels", f"dataset.file={file}")
    assert ages.targets.tolist() == [0.5, 1, 12, 3]


def test_all_mistakes_of_a_labels_table_at_once(table: Table, tmp_path: Path) -> None:
    file = table(
        {"path": ["0.png", "0.png", "9.png", "../x.png"], "cat": [0, 1, 2, "x"], "split": ["train", "tset", "", "test"]}
    )
    said = refused(tmp_path, "animals_together", "dataset=labels", f"dataset.file={file}")
    for line in (
        "line 3, path: each image is listed once; got 0.png again",
        "line 4, path: no such file: 9.png",
        "line 5, path: inside the folder of the file; got ../x.png",
        "line 3, split: train or test; got 'tset'",
        "line 4, cat: 0 or 1; got '2'",
        "line 5, cat: 0 or 1; got 'x'",
    ):
        assert line in said


def test_labels_need_a_path_and_a_column(table: Table, tmp_path: Path) -> None:
    file = table({"file": PATHS, "cat": [0, 1, 1, 0]})
    assert "dataset.file: a column path; got file, cat" in refused(
        tmp_path, "animals_together", "dataset=labels", f"dataset.file={file}"
    )
    file = table({"path": PATHS, "cat": [0, 1, 1, 0], "dog": [1, 0, 0, 1]})
    assert "one column beside path and split for this head; got cat, dog" in refused(
        tmp_path, "cat_age_years", "dataset=labels", f"dataset.file={file}"
    )


HOUSES: dict[str, list[object]] = {
    "id": [1, 1, 2, 3, 4, 5],
    "size": [50, 60, None, 80, 90, 100],
    "zip": [10115, 10115, 20095, 20095, 80331, None],
    "kind": ["flat", "flat", "house", None, "house", "flat"],
    "garden": [True, False, True, True, False, False],
    "country": ["x"] * 6,
    "price": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
}
AS_TABLE = ("dataset=table", "dataset.target=price", "dataset.group=id", "dataset.categories=[zip]", "space=dense")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_table_has_numbers_and_categories_and_groups(suffix: str, tmp_path: Path) -> None:
    file, frame = tmp_path / f"houses.{suffix}", pd.DataFrame(HOUSES)
    frame.to_csv(file, index=False) if suffix == "csv" else frame.to_parquet(file)
    examples = loaded(tmp_path, "house_price", f"dataset.file={file}", *AS_TABLE)
    inputs = examples.inputs
    assert inputs.number_names == ("size",)
    assert np.isnan(inputs.numbers[2, 0])
    assert inputs.category_names == ("zip", "kind", "garden")
    assert inputs.levels == (("10115", "20095", "80331"), ("flat", "house"), ("False", "True"))
    assert inputs.codes[:, 0].tolist() == [0, 0, 1, 1, 2, -1]
    assert examples.groups.tolist() == [0, 0, 1, 2, 3, 4]
    assert examples.targets.tolist() == HOUSES["price"]
    assert examples.notes == (
        "left out, the same in every row: country",
        "missing numbers, replaced by the training rows' median and flagged: size in 1 rows",
        "missing categories, each counted as a category of its own: zip in 1 rows, kind in 1 rows",
    )


def test_table_names_every_unknown_column_and_the_nearest(tmp_path: Path) -> None:
    pd.DataFrame(HOUSES).to_csv(tmp_path / "h.csv", index=False)
    words = ["dataset=table", "dataset.target=prise", "dataset.ignore=[contry]", "space=dense"]
    said = refused(tmp_path, "house_price", f"dataset.file={tmp_path / 'h.csv'}", *words)
    assert "dataset.target: a column of" in said
    assert "got prise (did you mean price?)" in said
    assert "got contry (did you mean country?)" in said


def test_table_refuses_missing_targets_and_infinite_numbers(tmp_path: Path) -> None:
    frame, file = pd.DataFrame(HOUSES), tmp_path / "h.csv"
    frame.assign(price=[1, 2, None, 4, 5, 6]).to_csv(file, index=False)
    words = [f"dataset.file={file}", *AS_TABLE]
    assert "price is a finite number in every row; not so in 1 rows, first 3" in refused(
        tmp_path, "house_price", *words
    )
    frame.assign(size=[1, 2, np.inf, 4, 5, 6]).to_csv(file, index=False)
    assert "infinite ones in size" in refused(tmp_path, "house_price", *words)


def test_table_of_classes(tmp_path: Path) -> None:
    pd.DataFrame(HOUSES).to_csv(tmp_path / "h.csv", index=False)
    words = [f"dataset.file={tmp_path / 'h.csv'}", "dataset=table", "dataset.target=garden", "space=dense"]
    examples = loaded(tmp_path, "cat_species", *words)
    assert (examples.classes, examples.target_kind) == (("False", "True"), "classes")


def hdf5(path: Path, **arrays: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def test_hdf5_reads_pictures_classes_and_names(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), dtype=np.uint8)
    names = np.array([b"dog", b"cat"])
    train = hdf5(tmp_path / "train.h5", train_set_x=pixels, train_set_y=[0, 1, 1, 0], list_classes=names)
    test = hdf5(tmp_path / "test.h5", test_set_x=pixels[:2], test_set_y=[[1, 0]])
    words = ["dataset=hdf5", f"dataset.train={train}", f"dataset.test={test}", "dataset.size=8"]
    examples = loaded(tmp_path, "cat_presence", *words)
    assert (examples.inputs.pixels[1] == pixels[1].transpose(2, 0, 1)).all()
    assert (examples.classes, examples.targets.tolist()) == (("dog", "cat"), [0, 1, 1, 0, 1, 0])
    assert examples.test_mask.tolist() == [False] * 4 + [True] * 2
    assert "no array images; it has list_classes, train_set_x, train_set_y" in refused(
        tmp_path, "cat_presence", *words, "dataset.train_inputs=images"
    )


def test_downloads_say_within_seconds_what_to_do_without_a_network(tmp_path: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip("runs where there is no network")
    for task, kind in (("cat_species", "oxford_pets"), ("animals", "cifar")):
        said = refused(tmp_path, task, f"dataset={kind}", f"dataset.root={tmp_path / 'downloads'}")
        assert f"dataset={kind}: cannot be downloaded" in said
        assert "dataset=folder dataset.root=<folder>" in said


def test_pets_and_cifar_are_read_from_what_their_archives_hold(tmp_path: Path) -> None:
    from pipeline.config.datasets import Cifar, OxfordPets
    from pipeline.data.sources.downloads import load_cifar, load_oxford_pets

    base = tmp_path / "oxford-iiit-pet"
    (base / "annotations").mkdir(parents=True)
    for part, name in (("trainval", "Bombay_1"), ("test", "Maine_Coon_2")):
        (base / "annotations" / f"{part}.txt").write_text(f"{name} 1 1 1\nbeagle_{part} 2 2 1\n")
        picture(base / "images" / f"{name}.jpg", 1)
        picture(base / "images" / f"beagle_{part}.jpg", 2)
    breeds = load_oxford_pets(OxfordPets("oxford_pets", tmp_path, "breed", 16), "classes", tmp_path / "cache")
    assert (breeds.classes, breeds.test_mask.tolist()) == (("Bombay", "Maine_Coon"), [False, True])
    pets = load_oxford_pets(OxfordPets("oxford_pets", tmp_path, "presence", 16), "classes", tmp_path / "cache")
    assert (pets.classes, pets.targets.tolist()) == (("dog", "cat"), [1, 0, 1, 0])

    draw = np.random.default_rng(0)
    for folder, names, labels in (
        ("cifar-10-batches-bin", [*(f"data_batch_{batch}" for batch in range(1, 6)), "test_batch"], [[0], [3]]),
        ("cifar-100-binary", ["train", "test"], [[9, 43], [9, 44], [9, 1]]),
    ):
        (tmp_path / folder).mkdir()
        for name in names:
            records = [np.array([*label, *draw.integers(0, 255, 3072)], np.uint8) for label in labels]
            np.concatenate(records).tofile(tmp_path / folder / f"{name}.bin")
    animals = load_cifar(Cifar("cifar", tmp_path, "animals", 32), "classes", Path("unused"))
    assert animals.targets.tolist() == [0] * 5 + [1, 2] + [0, 1, 2]
    assert animals.test_mask.tolist() == [False] * 7 + [True] * 3
    presence = load_cifar(Cifar("cifar", tmp_path, "presence", 16), "classes", Path("unused"))
    assert (presence.inputs.pixels.shape[1:], int(presence.targets.sum()), len(presence)) == ((3, 16, 16), 6, 12)


REAL = {
    "cat_presence": ["dataset=hdf5", "dataset.train={}/cat_presence/train_catvnoncat.h5",
                     "dataset.test={}/cat_presence/test_catvnoncat.h5"],
    "cat_species": ["dataset=folder", "dataset.root={}/cat_species"],
    "day_night": ["dataset=folder", "dataset.root={}/day_night"],
    "animals": ["dataset=folder", "dataset.root={}/animals", "dataset.size=32"],
    "animals_together": ["dataset=labels", "dataset.file={}/animals_together/labels.csv"],
    "house_price": ["dataset=table", "dataset.file={}/house_price/kc_house_data.csv", "dataset.target=price",
                    "dataset.group=id", "dataset.ignore=[date]", "dataset.categories=[zipcode]"],
}  # fmt: skip
ROWS = {"cat_presence": (259, 50), "cat_species": (2364, 1179), "day_night": (400, 160), "animals": (1800, 300),
        "animals_together": (1200, 200), "house_price": (21_613, 0)}  # fmt: skip


@pytest.mark.parametrize("task", REAL)
def test_real_data_are_read_whole(task: str, tmp_path: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip("the real data sets are not here")
    examples = loaded(tmp_path, task, *(word.format(SHARED) for word in REAL[task]))
    assert (len(examples), int(examples.test_mask.sum())) == ROWS[task]


def test_missing_cells_are_imputed_unless_that_is_refused(tmp_path: Path) -> None:
    pd.DataFrame(HOUSES).to_csv(tmp_path / "h.csv", index=False)
    words = [f"dataset.file={tmp_path / 'h.csv'}", *AS_TABLE]
    assert len(loaded(tmp_path, "house_price", *words).notes) == 3
    said = refused(tmp_path, "house_price", *words, "dataset.missing=refuse")
    assert "dataset.missing=refuse: every cell has a value; size has none in 1 rows, first 3" in said
    with pytest.raises(
        ConfigError, match=r"dataset\.missing: 'impute' or 'refuse'; got 'refuze' \(did you mean refuse"
    ):
        read_search(["task=house_price", *words, "dataset.missing=refuze"])
