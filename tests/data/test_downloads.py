"""Downloaded photographs: the real error without a network, and real reading of archives in the exact format."""

import hashlib
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from pipeline import data
from pipeline.config.datasets import Cifar, OxfordPets
from pipeline.data.examples import DataError, Images
from pipeline.data.sources.downloads import CIFAR_10, CIFAR_100, PETS_ARCHIVES, load_cifar, load_oxford_pets
from pipeline.data.sources.fetch import extract_archive

TRAIN = [("Bombay_1", 1), ("Maine_Coon_7", 1), ("beagle_3", 2)]
TEST = [("Maine_Coon_2", 1), ("Bombay_9", 1), ("beagle_4", 2)]


def pets(root: Path) -> Path:
    """The archives' folders with six photographs."""
    base = root / "oxford-iiit-pet"
    (base / "annotations").mkdir(parents=True)
    (base / "images").mkdir()
    for part, lines in (("trainval", TRAIN), ("test", TEST)):
        text = "".join(f"{name} 1 {species} 1\n" for name, species in lines)
        (base / "annotations" / f"{part}.txt").write_text(f"#Image CLASS-ID SPECIES BREED ID\n{text}")
    for seed, (name, _) in enumerate(TRAIN + TEST):
        pixels = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(base / "images" / f"{name}.jpg")
    return base


def batches(folder: Path, names: list[str], labels: list[list[int]], seed: int) -> Path:
    """Binary records as the archives have them: the labels, then 1,024 bytes a channel."""
    draw = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for name in names:
        records = [np.array([*label, *draw.integers(0, 255, 3072)], np.uint8) for label in labels]
        np.concatenate(records).tofile(folder / name)
    return folder


TEN = [*(f"data_batch_{batch}.bin" for batch in range(1, 6)), "test_batch.bin"]


def cifars(root: Path) -> Path:
    batches(root / "cifar-10-batches-bin", TEN, [[0], [3], [5]], 0)
    batches(root / "cifar-100-binary", ["train.bin", "test.bin"], [[8, 43], [15, 44], [4, 1]], 1)
    return root


def online() -> bool:
    try:
        requests.head(CIFAR_10.url, timeout=5)
    except requests.RequestException:
        return False
    return True


@pytest.mark.parametrize(
    "dataset", [OxfordPets("oxford_pets", Path(), "breed", 32), Cifar("cifar", Path(), "animals", 32)]
)
def test_without_a_network_the_ways_out_are_said_within_seconds(dataset: OxfordPets | Cifar, tmp_path: Path) -> None:
    if online():
        pytest.skip("there is a network, and nobody wants 0.8 GB now")
    begin = time.monotonic()
    with pytest.raises(DataError) as error:
        data.load_examples(type(dataset)(dataset.kind, tmp_path, dataset.subject, 32), "classes", tmp_path / "cache")
    assert time.monotonic() - begin < 8
    said = str(error.value)
    assert f"dataset={dataset.kind}: cannot be downloaded" in said
    for way_out in ("search once with a network", f"into {tmp_path}", "dataset=folder dataset.root=<folder>"):
        assert way_out in said


def test_damaged_archive_is_not_unpacked(tmp_path: Path) -> None:
    if online():
        pytest.skip("there is a network, and a damaged archive is fetched again")
    (tmp_path / CIFAR_10.name).write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be downloaded"):
        data.load_examples(Cifar("cifar", tmp_path, "presence", 32), "classes", tmp_path / "cache")
    assert not (tmp_path / "cifar-10-batches-bin").exists()


def test_breeds_are_the_cats_in_the_official_split(tmp_path: Path) -> None:
    pets(tmp_path)
    examples = data.load_examples(OxfordPets("oxford_pets", tmp_path, "breed", 16), "classes", tmp_path / "cache")
    assert examples.classes == ("Bombay", "Maine_Coon")
    assert examples.targets.tolist() == [0, 1, 1, 0]
    assert examples.test_mask.tolist() == [False, False, True, True]
    assert examples.names[0] == "Bombay_1.jpg"


def test_presence_is_dog_or_cat(tmp_path: Path) -> None:
    pets(tmp_path)
    examples = load_oxford_pets(OxfordPets("oxford_pets", tmp_path, "presence", 16), "classes", tmp_path / "cache")
    assert (examples.classes, examples.targets.tolist()) == (("dog", "cat"), [1, 1, 0, 1, 1, 0])


def test_archives_own_bad_pictures_are_left_out_and_missing_ones_are_an_error(tmp_path: Path) -> None:
    base = pets(tmp_path)
    dataset = OxfordPets("oxford_pets", tmp_path, "breed", 16)
    Image.new("P", (9, 9)).save(base / "images" / "Bombay_1.jpg", format="GIF")
    examples = load_oxford_pets(dataset, "classes", tmp_path / "cache")
    assert examples.targets.tolist() == [1, 1, 0]
    assert examples.notes == ("left out, since they cannot be read: 1 files",)
    (base / "images" / "Maine_Coon_7.jpg").unlink()
    with pytest.raises(DataError, match=r"1 images are missing, such as Maine_Coon_7\.jpg; remove that folder"):
        load_oxford_pets(dataset, "classes", tmp_path / "cache")
    (base / "annotations" / "test.txt").write_text("Bombay_1 cat\n")
    with pytest.raises(DataError, match=r"test\.txt cannot be read"):
        load_oxford_pets(dataset, "classes", tmp_path / "cache")


def test_animals_are_cats_lions_and_lizards(tmp_path: Path) -> None:
    examples = data.load_examples(Cifar("cifar", cifars(tmp_path), "animals", 32), "classes", tmp_path / "cache")
    assert examples.classes == ("cat", "lion", "lizard")
    assert examples.targets.tolist() == [0] * 5 + [1, 2] + [0, 1, 2]
    assert examples.test_mask.tolist() == [False] * 7 + [True] * 3
    assert isinstance(examples.inputs, Images)
    record = np.fromfile(tmp_path / "cifar-100-binary" / "test.bin", np.uint8)[:3074]
    assert (examples.inputs.pixels[8].reshape(-1) == record[2:]).all()  # the lion, red before green before blue


def test_presence_has_as_many_others_as_cats(tmp_path: Path) -> None:
    examples = load_cifar(Cifar("cifar", cifars(tmp_path), "presence", 16), "classes", Path("unused"))
    assert examples.classes == ("no cat", "cat")
    assert examples.targets.tolist() == [0] * 5 + [1] * 5 + [0, 1]
    assert isinstance(examples.inputs, Images)
    assert examples.inputs.pixels.shape == (12, 3, 16, 16)


def test_refuses_binary_files_that_were_cut(tmp_path: Path) -> None:
    file = cifars(tmp_path) / "cifar-10-batches-bin" / "test_batch.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match="cifar-10-batches-bin: not CIFAR's binary files"):
        load_cifar(Cifar("cifar", tmp_path, "presence", 32), "classes", Path("unused"))


def test_archive_unpacks_whole_or_not_at_all_and_never_outside(tmp_path: Path) -> None:
    source = batches(tmp_path / "source" / "cifar-100-binary", ["train.bin"], [[8, 43]], 0)
    good, bad = tmp_path / "good.tar.gz", tmp_path / "bad.tar.gz"
    with tarfile.open(good, "w:gz") as packed:
        packed.add(source, "cifar-100-binary")
    with tarfile.open(bad, "w:gz") as packed:
        packed.add(source, "cifar-10-batches-bin")
        packed.add(source / "train.bin", "../../outside.bin")
    extract_archive(good, "cifar-100-binary")
    assert (tmp_path / "cifar-100-binary" / "train.bin").read_bytes() == (source / "train.bin").read_bytes()
    with pytest.raises(DataError, match="cannot be unpacked"):
        extract_archive(bad, "cifar-10-batches-bin")
    good.write_bytes(good.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be unpacked"):
        extract_archive(good, "again")
    left = {"source", "good.tar.gz", "bad.tar.gz", "cifar-100-binary"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_nothing_that_is_fetched_is_a_pickle() -> None:
    for archive in (*PETS_ARCHIVES, CIFAR_10, CIFAR_100):
        assert archive.url.startswith("https://")
        assert len(archive.known_hash.removeprefix("md5:")) == 2 * hashlib.md5().digest_size
        assert "python" not in archive.name
