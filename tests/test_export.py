"""Models as .onnx files: every kind of input and head answers as predict does, and what does not is not written."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image

from pipeline import export, predict
from pipeline.artifact import model_files
from pipeline.artifact.architecture import build_architecture
from pipeline.artifact.model_files import TrainedModel
from pipeline.config.model import BackboneConfig, Convolutions, FinetunePart, FinetuneSpec, Model
from pipeline.data.examples import Images, Table
from pipeline.data.images.decode import read_image
from pipeline.inference import onnx_export
from pipeline.models import heads, networks
from pipeline.models.backbones import PretrainedBackbone, split
from pipeline.models.networks import FinetunedNetwork
from pipeline.preprocessing import FeatureInputs, ImageInputs, Inputs, TableInputs
from tests.conftest import picture_examples, table_examples

CLASSES = heads.SoftmaxHead("softmax", ("a", "b", "c"))
YES = heads.SigmoidHead("sigmoid", ("no", "yes"))
LABELS = heads.SigmoidsHead("sigmoids", ("cat", "lion"))
PRICE = heads.NumberHead("number", "relu", "l1", "USD")
CHANGE = heads.NumberHead("number", "identity", "l2", "")
RATIO = heads.NumberHead("number", "relu", "l1", "USD", "log")
ROOT = heads.NumberHead("number", "relu", "l2", "USD", "sqrt")
BANDS = heads.BandsHead("bands", (30.0, 40.0), "years")
HIDDEN, NONE = Model((8, 4), "gelu", 0.1), Model((), "relu", 0.0)
BLOCKS = Model((4,), "tanh", 0.0, Convolutions((4, 6), 3, "max"))
BATCH_NORM = Model((8, 8), "gelu", 0.1, norm="batch", residual=True)
LAYER_NORM = Model((4, 4), "tanh", 0.0, Convolutions((4,), 3, "max"), norm="layer", residual=True)
AVERAGED = Model((4,), "relu", 0.0, Convolutions((4,), 5, "average"))
TABLE = TableInputs("table", ("size", "age"), ("age",), ("zip",), (("10", "20", "30", "40"),))


def made(layout: Inputs, shape: Model, head: heads.AnyHead, folder: Path) -> TrainedModel:
    """A model with weights as they are before training, and constants of real rows, as its two files."""
    if isinstance(layout, TableInputs):
        table = table_examples()
        assert isinstance(table.inputs, Table)
        numbers = [table.inputs.number_names.index(name) for name in layout.numbers]
        categories = [table.inputs.category_names.index(name) for name in layout.categories]
        raw = Table(
            table.inputs.numbers[:, numbers],
            layout.numbers,
            table.inputs.codes[:, categories],
            layout.categories,
            layout.levels,
        )
        constants = layout.fit(raw, np.arange(80))
    elif isinstance(layout, FeatureInputs):
        constants = {"input.mean": torch.full((layout.count,), 0.2), "input.spread": torch.full((layout.count,), 0.5)}
    else:
        constants = layout.fit(picture_examples(size=layout.size).inputs, np.arange(60))
    built = networks.build_network(layout.feature_count, shape, head.output_count)
    if isinstance(built, FinetunedNetwork):
        assert shape.tail is not None
        body = PretrainedBackbone.from_config(
            BackboneConfig(shape.tail.backbone, None, "none"), folder, torch.device("cpu")
        ).network
        built.backbone.tail.load_state_dict(split.build_tail(body, shape.tail).state_dict())
        built.dense.init_weights(torch.Generator().manual_seed(0))
    else:
        built.init_weights(torch.Generator().manual_seed(0))
    target_constants = head.fit(table_examples().targets)
    described = build_architecture("my task/1", layout, shape, head)
    ours = TrainedModel.from_network(described, dict(built.state_dict()), constants, target_constants)
    ours.save(folder)
    return model_files.load_trained_model(folder)


def exported(folder: Path, name: str) -> onnxruntime.InferenceSession:
    assert export.main([f"model={folder}", "format=onnx", f"output={folder.parent}"]) == 0
    assert [file.name for file in folder.parent.glob("*.onnx*")] == [name]
    return onnxruntime.InferenceSession(folder.parent / name, providers=["CPUExecutionProvider"])


def predicted(folder: Path, columns: tuple[str, ...], *files: Path) -> list[list[float]]:
    output = folder.parent / "answers.csv"
    assert predict.main([f"model={folder}", *map(str, files), f"output={output}"]) == 0
    with output.open(newline="") as stream:
        return [[float(row[name]) for name in columns] for row in csv.DictReader(stream)]


def pictures(folder: Path, count: int) -> list[Path]:
    files = [folder / f"{number}.png" for number in range(count)]
    for number, file in enumerate(files):
        pixels = np.random.default_rng(number).integers(0, 256, (40 + number, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file)
    return files


@pytest.mark.parametrize(
    ("shape", "head"),
    [
        (HIDDEN, CLASSES),
        (NONE, YES),
        (BLOCKS, LABELS),
        (AVERAGED, PRICE),
        (NONE, BANDS),
        (BATCH_NORM, CLASSES),
        (LAYER_NORM, YES),
    ],
    ids=[
        "hidden-softmax",
        "none-sigmoid",
        "blocks-sigmoids",
        "averaged-number",
        "none-bands",
        "batch-norm-softmax",
        "layer-norm-sigmoid",
    ],
)
def test_pictures_are_answered_as_predict_answers(shape: Model, head: heads.AnyHead, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    made(ImageInputs("pictures", 16), shape, head, folder)
    session = exported(folder, "my_task_1-opset18-Nx3x16x16.onnx")
    for count in (1, 7):
        files = pictures(tmp_path, count)
        pixels = np.stack([read_image(file, 16).pixels for file in files])
        (answers,) = session.run(None, {"pixels": pixels})
        assert answers == pytest.approx(np.array(predicted(folder, head.output_names, *files)), abs=1e-5)


@pytest.mark.parametrize("part", [None, "last", "all"])
def test_backbone_and_its_views_are_in_the_file(part: FinetunePart | None, tmp_path: Path) -> None:
    shape = HIDDEN if part is None else Model((8, 4), "gelu", 0.1, tail=FinetuneSpec("efficientnet_lite0", part))
    frozen = PretrainedBackbone.from_config(
        BackboneConfig("efficientnet_lite0", None, "none"), tmp_path, torch.device("cpu")
    )
    folder = tmp_path / "model"
    made(FeatureInputs("features", frozen.name, frozen.weights_sha256, 32, 3, 1280), shape, CLASSES, folder)
    session = exported(folder, "my_task_1-opset18-Nx3x32x32.onnx")
    files = pictures(tmp_path, 3)
    (answers,) = session.run(None, {"pixels": np.stack([read_image(file, 32).pixels for file in files])})
    assert answers == pytest.approx(np.array(predicted(folder, CLASSES.output_names, *files)), abs=1e-5)


@pytest.mark.parametrize(
    ("layout", "head", "name"),
    [
        (TABLE, PRICE, "my_task_1-opset18-Nx2-Nx1.onnx"),
        (TABLE, CHANGE, "my_task_1-opset18-Nx2-Nx1.onnx"),
        (TABLE, RATIO, "my_task_1-opset18-Nx2-Nx1.onnx"),
        (TABLE, ROOT, "my_task_1-opset18-Nx2-Nx1.onnx"),
        (TableInputs("table", ("size", "age"), (), (), ()), BANDS, "my_task_1-opset18-Nx2.onnx"),
        (replace(TABLE, encoding="quantile", bins=(8, 0)), PRICE, "my_task_1-opset18-Nx2-Nx1.onnx"),
        (replace(TABLE, encoding="piecewise", bins=(8, 0)), CLASSES, "my_task_1-opset18-Nx2-Nx1.onnx"),
        (TableInputs("table", (), (), ("zip",), TABLE.levels), CLASSES, "my_task_1-opset18-Nx1.onnx"),
    ],
    ids=["both", "identity", "log", "sqrt", "numbers", "quantile", "piecewise", "codes"],
)
def test_rows_are_answered_as_predict_answers(
    layout: TableInputs, head: heads.AnyHead, name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    made(layout, HIDDEN, head, folder)
    session = exported(folder, name)
    said = session.get_modelmeta().custom_metadata_map
    for rows in (1, 7):
        sizes = pd.Series([3.0, None, 7.5, 100.0, 20.0, 0.0, -1.0][:rows], dtype=float)
        frame = pd.DataFrame(
            {"size": sizes, "age": 9 - sizes, "zip": ["40", "99", None, "10", "20", "30", "40"][:rows]}
        )
        frame.to_csv(tmp_path / "rows.csv", index=False)
        fed = {}
        if layout.numbers:
            fed["numbers"] = frame[json.loads(said["numbers"])].to_numpy(dtype=np.float32)
        if layout.categories:
            (levels,) = json.loads(said["codes"]).values()
            fed["codes"] = np.array([[levels.index(zip_) if zip_ in levels else -1] for zip_ in frame["zip"]])
        (answers,) = session.run(None, fed)
        assert answers == pytest.approx(np.array(predicted(folder, head.output_names, tmp_path / "rows.csv")), rel=1e-5)


def test_file_says_what_goes_in_and_whose_it_is_and_names_no_place(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    ours = made(ImageInputs("pictures", 16), HIDDEN, CLASSES, folder)
    session = exported(folder, "my_task_1-opset18-Nx3x16x16.onnx")
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["answers"]) == ["a", "b", "c"]
    assert json.loads(said["inputs"])["pixels"].startswith("uint8, RGB, 0 to 255: the whole image, rotated upright")
    assert said["parameters_sha256"] == ours.architecture.parameters_sha256
    assert (said["task"], said["head"]) == ("my task/1", "softmax")
    (file,) = tmp_path.glob("*.onnx")
    onnx.checker.check_model(str(file), full_check=True)
    content = file.read_bytes()
    assert b".py" not in content
    assert str(Path.cwd()).encode() not in content
    (given,), (answers,) = session.get_inputs(), session.get_outputs()
    assert (given.shape, answers.shape) == (["N", 3, 16, 16], ["N", 3])


def test_file_that_answers_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    made(ImageInputs("pictures", 8), NONE, YES, folder)
    before = tmp_path / "my_task_1-opset18-Nx3x8x8.onnx"
    before.write_text("of another day")
    right = TrainedModel.predict
    monkeypatch.setattr(TrainedModel, "predict", lambda self, raw: right(self, raw) + 2e-5)
    assert export.main([f"model={folder}", "format=onnx", f"output={tmp_path}"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(
        "format=onnx: predictions must match the network's within 1e-05; got a difference of 2e-05, so "
    )
    assert before.read_text() == "of another day"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model", before.name]


def test_difference_that_is_no_number_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    made(ImageInputs("pictures", 8), NONE, YES, folder)
    right = TrainedModel.predict
    monkeypatch.setattr(TrainedModel, "predict", lambda self, raw: right(self, raw) * torch.nan)
    assert export.main([f"model={folder}", "format=onnx", f"output={tmp_path}"]) == 1
    assert not list(tmp_path.glob("*.onnx"))


def test_model_beyond_what_a_file_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    made(ImageInputs("pictures", 8), NONE, YES, folder)
    monkeypatch.setattr(onnx_export, "MAX_FILE_BYTES", 100)
    assert export.main([f"model={folder}", "format=onnx", f"output={tmp_path}"]) == 1
    assert "format=onnx: a file has at most 100 bytes; the model has 772\n" in capsys.readouterr().err


def test_what_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnx_export, "REQUIRED_PACKAGES", ("onnx", "no_such_package"))
    assert export.main(["model=x", "format=onnx", f"output={tmp_path}"]) == 2
    way_out = "pip install 'layers-and-nodes[onnx]'"
    assert capsys.readouterr().err == f"format=onnx: needs no_such_package, which is not installed; {way_out}\n"


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ([], ["model: say which, model=<folder, task or models:/...>", "format: must be onnx; got"]),
        (["model=x", "format=onxx"], ["format: must be onnx; got onxx (did you mean onnx?)"]),
        (["modle=x", "model=x", "format=onnx"], ["modle: the keys are model=, format=, output=, store= and weights="]),
        (["model=x", "format=onnx", "output=/nowhere"], ["output: a folder that exists; got /nowhere"]),
        (["model=x", "format=onnx", "weights=/nowhere"], ["weights: a file that exists; got /nowhere"]),
        (
            ["model=x", "format=onnx", "store=/nowhere"],
            ["model: models:/x@champion: no registry at /nowhere/mlflow.db"],
        ),
        (["model=no/where", "format=onnx"], ["model: a folder that exists; got no/where"]),
        (["model=x", "format=onnx", f"output={'x' * 300}"], ["[Errno 36] File name too long: 'xxx"]),
        ([f"model={'x' * 300}", "format=onnx"], ["[Errno 36] File name too long: 'xxx"]),
    ],
)
def test_wrong_word_is_one_line(words: list[str], lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main(words) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(lines)
    assert all(line.startswith(start) for line, start in zip(said, lines, strict=True))


def test_help_is_one_short_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main(["--help"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) <= 30
    assert max(map(len, said)) <= 80


def test_champion_of_the_registry_is_exported(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main(["model=cat_species", "format=onnx", f"store={finished.parents[1]}", f"output={tmp_path}"]) == 0
    file = tmp_path / "cat_species-opset18-Nx3x8x8.onnx"
    assert capsys.readouterr().out.startswith(
        f"{file}: {file.stat().st_size:,} bytes; its predictions match the network's"
    )
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).integers(0, 256, (7, 3, 8, 8), dtype=np.uint8)
    (answers,) = session.run(None, {"pixels": pixels})
    assert answers == pytest.approx(
        model_files.load_trained_model(finished / "model").predict(Images(pixels)).numpy(), abs=1e-5
    )
