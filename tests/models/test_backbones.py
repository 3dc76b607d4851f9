"""Frozen backbones: their weights, what they make of pictures, how that is kept, and searches on it."""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from filelock import FileLock, Timeout
from PIL import Image
from safetensors.torch import save_file
from torchvision.models import get_model, get_model_weights, list_models

from pipeline import cache, predict
from pipeline.artifact import model_files
from pipeline.config.backbone_catalogue import BACKBONES
from pipeline.config.model import BackboneConfig
from pipeline.config.schema import MAX_VIEWS
from pipeline.data import cache as data_cache
from pipeline.data.examples import Images
from pipeline.models.backbones import PretrainedBackbone, architectures, weights
from pipeline.models.backbones.feature_extraction import _exclusive_lock
from pipeline.models.backbones.views import apply_view
from pipeline.runtime.errors import UserError
from tests.conftest import picture_examples, search

CPU = torch.device("cpu")
LITE = BackboneConfig("efficientnet_lite0", None, "none")
SMALL = ("dataset.size=32", "training.epochs=3", "cv.folds=3", "compute=cpu", "budget.trials=2")


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a resnet18 that was never trained."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    save_file(get_model("resnet18", weights=None).state_dict(), file)
    return file


@pytest.fixture
def pictures() -> Images:
    raw = picture_examples(40, size=32).inputs
    assert isinstance(raw, Images)
    return raw


def lite(store: Path) -> PretrainedBackbone:
    return PretrainedBackbone.from_config(LITE, store, CPU)


def test_names_and_sides_are_torchvisions_own() -> None:
    sides = {
        name: get_model_weights(name).DEFAULT.transforms().crop_size[0] for name in list_models(torchvision.models)
    }
    catalogue = {spec.name: spec.image_size for spec in BACKBONES.values() if not spec.timm_name}
    assert catalogue == sides


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "convnext_tiny", "googlenet"])
@torch.inference_mode()
def test_numbers_are_what_the_last_layer_reads_in_the_whole_network(name: str, tmp_path: Path) -> None:
    network = get_model(name, weights=None, **BACKBONES[name].arguments).eval()
    torch.save(network.state_dict(), tmp_path / "own.pth")
    body, seen = architectures.build_backbone(name, tmp_path / "own.pth"), list[torch.Tensor]()
    last = [part for part in network.modules() if isinstance(part, torch.nn.Linear | torch.nn.Conv2d)][-1]
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    pictures = torch.arange(2 * 3 * 64 * 64).remainder(251).to(torch.uint8).view(2, 3, 64, 64)
    assert network(body.normalize(pictures)).shape == (2, 1000)
    (read,) = seen
    torch.testing.assert_close(body(pictures), read if read.dim() == 2 else read.mean((2, 3)), atol=1e-4, rtol=1e-4)


def test_lite0_is_the_published_network(tmp_path: Path) -> None:
    """Some of its numbers of a made-up picture, as the package of its authors' names computes them."""
    colour, down, right = np.ogrid[:3, :64, :64]
    picture = ((80 * colour + 3 * down + right) % 256).astype(np.uint8)
    (view,) = lite(tmp_path).extract(Images(picture[None]), 1).views
    known = {9: 2.14038, 146: 2.42002, 384: 1.06143, 661: 4.54551, 782: 0.64799, 900: 2.11686, 1168: 0.85167}
    assert view[0, list(known)].tolist() == pytest.approx(list(known.values()), abs=1e-4)
    assert view.sum() == pytest.approx(176.6056, abs=1e-2)


def test_weights_with_another_classifier_do(tmp_path: Path) -> None:
    torch.save(get_model("resnet18", weights=None, num_classes=7).state_dict(), tmp_path / "mine.pth")
    assert architectures.build_backbone("resnet18", tmp_path / "mine.pth")(torch.zeros(1, 3, 64, 64)).shape == (1, 512)


def test_weights_of_another_network_are_refused(resnet: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"model.weights: must have the 216 tensors of resnet34; .* lacks .* and \d+ more"
    ):
        architectures.build_backbone("resnet34", resnet)
    (tmp_path / "none.pth").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"model.weights: must be a state dict, as torch or safetensors write it; got"):
        architectures.build_backbone("resnet18", tmp_path / "none.pth")


def test_file_that_is_not_what_its_name_says_is_refused(resnet: Path, tmp_path: Path) -> None:
    file = tmp_path / "resnet18-f37072fd.pth"
    file.write_bytes(resnet.read_bytes())
    with pytest.raises(UserError, match="is damaged, or is not the file that its name says"):
        weights.find_weights(BackboneConfig("resnet18", file, "none"), tmp_path)


def test_without_a_network_the_ways_out_are_named_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    begin = time.monotonic()
    with pytest.raises(UserError) as error:
        weights.find_weights(BackboneConfig("resnet18", None, "none"), tmp_path)
    assert time.monotonic() - begin < 10
    said = str(error.value)
    assert said.startswith("model.backbone=resnet18: cannot download its weights")
    assert "model.weights=resnet18-f37072fd.pth" in said
    assert "model.backbone=efficientnet_lite0" in said


def test_mirrored_view_is_that_of_mirrored_pictures(pictures: Images, tmp_path: Path) -> None:
    mirrored = Images(np.ascontiguousarray(pictures.pixels[:, :, :, ::-1]))
    there, back = lite(tmp_path).extract(pictures, 2), lite(tmp_path).extract(mirrored, 1)
    assert there.views[1] == pytest.approx(back.views[0], abs=1e-5)
    assert np.abs(there.views[0] - there.views[1]).max() > 1e-3


def test_views_are_different_parts_of_one_size() -> None:
    part = torch.arange(3 * 40 * 40).remainder(251).to(torch.uint8).view(1, 3, 40, 40)
    seen = [apply_view(part, number) for number in range(MAX_VIEWS)]
    assert {each.shape for each in seen} == {part.shape}
    assert all(not torch.equal(one, other) for place, one in enumerate(seen) for other in seen[:place])
    assert any(torch.equal(apply_view(part, MAX_VIEWS), each) for each in seen)


def test_features_are_computed_once(pictures: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = lite(tmp_path).load_or_extract(pictures, 2, tmp_path)
    assert first.feature_count == 1280
    monkeypatch.setattr(
        "pipeline.models.backbones.feature_extraction.build_backbone", None
    )  # there is nothing left to compute
    again = lite(tmp_path).load_or_extract(pictures, 2, tmp_path)
    assert all(np.array_equal(*pair) for pair in zip(first.views, again.views, strict=True))
    with pytest.raises(TypeError):  # another view, or other pictures, are something else
        lite(tmp_path).load_or_extract(pictures, 3, tmp_path)
    with pytest.raises(TypeError):
        lite(tmp_path).load_or_extract(pictures.take(np.arange(39)), 2, tmp_path)


@pytest.mark.parametrize(
    ("was", "becomes"), [(b"<f4", b"<i4"), (b"False", b"True "), (b"(40, ", b"(20, "), (None, b"")]
)
def test_damaged_features_are_computed_again(
    was: bytes | None, becomes: bytes, pictures: Images, tmp_path: Path
) -> None:
    """Also where what says their type and their shape is damaged."""
    first = lite(tmp_path).load_or_extract(pictures, 1, tmp_path)
    expected = np.array(first.views[0])
    (file,) = tmp_path.glob("features-*.npy")
    content = bytearray(file.read_bytes())
    if was is None:
        content[5_000] ^= 1
    else:
        content = content.replace(was, becomes, 1)
    assert content != file.read_bytes()
    file.write_bytes(content)
    again = lite(tmp_path).load_or_extract(pictures, 1, tmp_path).views[0]
    assert again.dtype == np.float32
    assert np.array_equal(again, expected)
    assert file.read_bytes() != content


def test_cudnn_is_on_and_in_full_precision_while_a_backbone_looks(
    pictures: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    class Watching(torch.nn.Module):
        def forward(self, seen: torch.Tensor) -> torch.Tensor:
            found.append((torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32))
            return seen.flatten(1)[:, :4].float()

    monkeypatch.setattr("pipeline.models.backbones.feature_extraction.build_backbone", lambda *_: Watching())
    lite(tmp_path).extract(pictures, 1)
    assert set(found) == {(True, False)}


@pytest.mark.parametrize(
    ("error", "side", "kind", "said"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory."),
            32,
            UserError,
            "compute: efficientnet_lite0 reads 32 images",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory."),
            288,
            UserError,
            "CUDA out of memory.*; use compute=cpu, or smal",
        ),
        (RuntimeError(""), 32, UserError, r"dataset.size: efficientnet_lite0 is made for 288; got 32 \(RuntimeError\)"),
        (RuntimeError("a bug"), 288, RuntimeError, "^a bug$"),
    ],
)
def test_size_is_blamed_only_where_it_is_another_than_the_backbone_s(
    error: Exception, side: int, kind: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying(torch.nn.Module):
        def forward(self, _: torch.Tensor) -> torch.Tensor:
            raise error

    monkeypatch.setattr("pipeline.models.backbones.feature_extraction.build_backbone", lambda *_: Dying())
    with pytest.raises(kind, match=said):
        lite(tmp_path).load_or_extract(Images(np.zeros((2, 3, side, side), np.uint8)), 1, tmp_path)


def test_lock_is_free_again_when_the_features_are_there(tmp_path: Path) -> None:
    alone = _exclusive_lock(tmp_path)
    with alone, pytest.raises(Timeout):
        FileLock(tmp_path / ".features.lock").acquire(timeout=0)
    with FileLock(tmp_path / ".features.lock").acquire(timeout=0):
        pass


def test_two_searches_do_not_compute_the_same(
    pictures: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: lite(tmp_path).load_or_extract(pictures, 1, tmp_path), range(2)))
    assert np.array_equal(found[0].views[0], found[1].views[0])
    assert capsys.readouterr().out.count("efficientnet_lite0 extracts features of 40 images") == 1


def test_search_on_features_and_prediction_agree(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["task=day_night", "dataset.count=90", "model.backbone=efficientnet_lite0", "features.views=3", *SMALL]
    folder = search(store, *words)
    summary = json.loads((folder / "summary.json").read_text())
    trained = model_files.load_trained_model(folder / "model")
    layout = trained.architecture.inputs
    assert (layout.kind, layout.size, layout.feature_count) == ("features", 32, 1280)
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    assert predict.main([f"model={folder}/model", str(tmp_path / "photo.png"), f"output={tmp_path / 'out.csv'}"]) == 0
    with (tmp_path / "out.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    seen = lite(store / "cache").load_or_extract(Images(pixels.transpose(2, 0, 1)[None]), 3, store / "cache")
    expected = trained.predict(seen)[0]
    columns = trained.architecture.head.output_names
    assert [float(row[name]) for name in columns] == pytest.approx(expected.tolist(), abs=1e-5)
    again = [word for word in summary["best"]["overrides"] if word.startswith(("model.backbone", "features"))]
    assert again == ["model.backbone=efficientnet_lite0", "features.views=3"]
    monkeypatch.setitem(sys.modules, "timm", None)
    capsys.readouterr()
    assert predict.main([f"model={folder}/model", str(tmp_path / "photo.png")]) == 2
    _, line = capsys.readouterr().err.splitlines()  # the first says that it is a demonstration
    assert line.startswith(
        "model.backbone=efficientnet_lite0: needs the package timm, which is not installed; pip install"
    )


def test_own_weights_go_with_their_model(
    store: Path, resnet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = search(
        store, "task=day_night", "dataset.count=60", "model.backbone=resnet18", f"model.weights={resnet}", *SMALL
    )
    assert f"weights={resnet}" in capsys.readouterr().out
    Image.new("RGB", (40, 40), "red").save(tmp_path / "photo.png")
    other = tmp_path / "other.safetensors"
    torch.manual_seed(1)
    save_file(get_model("resnet18", weights=None).state_dict(), other)
    words = [f"model={folder}/model", str(tmp_path / "photo.png")]
    assert predict.main([*words, f"weights={resnet}"]) == 0
    assert predict.main([*words, f"weights={other}"]) == 2
    assert "weights: must be the file that resnet18 had in the search" in capsys.readouterr().err
    assert predict.main([*words, f"weights={tmp_path / 'gone'}"]) == 2
    assert "weights: a file that exists" in capsys.readouterr().err


def test_pictures_that_a_backbone_cannot_take_are_refused(pictures: Images, tmp_path: Path) -> None:
    torch.save(get_model("vit_b_32", weights=None).state_dict(), tmp_path / "vit.pth")
    frozen = PretrainedBackbone.from_config(BackboneConfig("vit_b_32", tmp_path / "vit.pth", "none"), tmp_path, CPU)
    with pytest.raises(UserError, match=r"dataset.size: vit_b_32 is made for 224; got 32"):
        frozen.load_or_extract(pictures, 1, tmp_path)


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    for age, name in enumerate(("features-a.npy", "pictures-b.npy", "drawn-c.npy")):
        (folder / name).write_bytes(bytes(1000))
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    (folder / "pictures-b.json").write_text("{}")
    os.utime(folder / "pictures-b.json", (1e9, 1e9))
    assert cache.main([f"store={tmp_path}"]) == 0
    assert "total" in capsys.readouterr().out
    data_cache.evict_least_recently_used(folder, 2.5e-6, used_since=2e9)
    assert not (folder / "drawn-c.npy").exists()
    data_cache.evict_least_recently_used(folder, 1e-9, used_since=1e9)  # what was used since then stays
    assert {file.name for file in folder.iterdir()} == {"features-a.npy", "pictures-b.npy", "pictures-b.json"}
    assert cache.main([f"store={tmp_path}", "clear=true"]) == 0
    assert not list(folder.iterdir())
    assert cache.main([f"store={tmp_path / 'gone'}", "clear=yes"]) == 2
    said = capsys.readouterr().err
    assert "clear: true or false; got yes" in said
    assert "store: a folder that searches wrote to" in said


def test_downloaded_weights_that_a_search_uses_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights" / "resnet18-f37072fd.pth"
    file.parent.mkdir()
    file.write_bytes(bytes(1000))
    os.utime(file, (1e9, 1e9))
    monkeypatch.setattr(weights, "_check_file_hash", lambda _: None)  # they are no weights
    begin = int(time.time())
    assert weights.find_weights(BackboneConfig("resnet18", None, "none"), tmp_path) == file
    data_cache.evict_least_recently_used(tmp_path, 1e-9, used_since=begin)
    assert file.exists()


def test_what_killed_searches_left_is_counted_and_cleared_and_what_is_being_written_is_neither(tmp_path: Path) -> None:
    left = {".features-a.npy.999999999.new": "unfinished files", "weights/.b.pth.999999999.new": "unfinished files"}
    whole = {"features-a.npy": "features of a backbone", "weights/b.pth": "weights of backbones"}
    written = [".features-a.npy.1.new", "weights/.b.pth.1.new", ".features.lock"]
    (tmp_path / "weights").mkdir()
    for name in (*left, *whole, *written):
        (tmp_path / name).write_bytes(bytes(10))
    found = data_cache.list_entries(tmp_path)
    assert {str(entry.files[0].relative_to(tmp_path)): entry.kind for entry in found} == left | whole
    assert {entry.size_bytes for entry in found} == {10}
    for entry in found:
        entry.remove()
    assert all((tmp_path / name).exists() for name in written)
    assert not any((tmp_path / name).exists() for name in (*left, *whole))


def test_file_that_is_gone_meanwhile_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "features-a.npy").symlink_to(tmp_path / "gone")  # is listed, and has no size
    (tmp_path / "features-b.npy").write_bytes(bytes(10))
    (entry,) = data_cache.list_entries(tmp_path)
    assert entry.files == (tmp_path / "features-b.npy",)
