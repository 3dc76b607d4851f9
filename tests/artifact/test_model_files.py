"""The two files that are a model: bound to each other, data and nothing else."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from pipeline.artifact import model_files
from pipeline.artifact.architecture import build_architecture
from pipeline.artifact.model_files import ARCHITECTURE_FILE, PARAMETERS_FILE, ModelError, TrainedModel
from pipeline.config.heads import NumberConfig, SoftmaxConfig
from pipeline.config.model import Convolutions, Model
from pipeline.config.schema import NumberEncoding, Training
from pipeline.models.heads import AnyHead, NumberHead, SoftmaxHead
from pipeline.preprocessing import ImageInputs
from pipeline.training.engine import Member, StreamSeeds
from pipeline.training.fit import refit
from tests.conftest import picture_examples, question, table_examples
from tests.crash import kill_at_every_step

TRAINING = Training(2, 16, 0.01, 0.0, "adamw", None, flip=False, shift=0)


ENCODINGS: tuple[NumberEncoding, ...] = ("quantile", "piecewise")
HIDDEN = Model((8, 4), "gelu", 0.1)
BLOCKS = Model((4,), "gelu", 0.1, Convolutions((4, 6), 3, "max"))


def trained(kind: str = "pictures", network: Model = HIDDEN, encoding: NumberEncoding = "standard") -> TrainedModel:
    if kind == "pictures":
        asked = question(picture_examples(), SoftmaxConfig("softmax"), "accuracy")
    else:
        head = NumberConfig("number", "relu", "l1", "USD")
        asked = question(table_examples(), head, "mean_absolute_error", encoding=encoding)
    preparation = asked.fold_data_builder()
    data = preparation.build_refit_data(asked.splits.development)
    weights = refit(asked.task, Member(network, TRAINING, StreamSeeds(0, 0), data), 2)
    described = build_architecture("colours", asked.task.inputs, network, asked.task.head)
    return TrainedModel.from_network(described, weights, data.input_constants, data.target_constants)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    trained().save(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("kind", "network"), [("pictures", HIDDEN), ("pictures", BLOCKS), ("table", HIDDEN)])
def test_read_back_it_gives_the_same_answers(kind: str, network: Model, tmp_path: Path) -> None:
    examples = picture_examples() if kind == "pictures" else table_examples()
    ours = trained(kind, network)
    ours.save(tmp_path)
    assert torch.equal(model_files.load_trained_model(tmp_path).predict(examples.inputs), ours.predict(examples.inputs))


def test_fresh_process_with_the_two_files_gives_the_same_outputs(tmp_path: Path) -> None:
    ours = trained()
    ours.save(tmp_path)
    code = (
        "import sys, numpy; from pathlib import Path; from pipeline.artifact import model_files;"
        "from pipeline.data.examples import Images; images = Images(numpy.load(sys.argv[2]));"
        "answers = model_files.load_trained_model(Path(sys.argv[1])).predict(images);"
        "numpy.save(sys.argv[3], answers.numpy())"
    )
    examples = picture_examples()
    np.save(tmp_path / "pixels.npy", examples.inputs.pixels)
    files = [str(tmp_path), str(tmp_path / "pixels.npy"), str(tmp_path / "answers.npy")]
    subprocess.run([sys.executable, "-c", code, *files], check=True)
    assert np.abs(np.load(tmp_path / "answers.npy") - ours.predict(examples.inputs).numpy()).max() < 1e-6


def test_scaling_constants_are_stored_and_not_counted(folder: Path) -> None:
    tensors = load_file(folder / PARAMETERS_FILE)
    learned = sum(tensor.numel() for name, tensor in tensors.items() if name.startswith("network."))
    assert json.loads((folder / ARCHITECTURE_FILE).read_text())["parameters"] == learned
    assert {"input.mean", "input.spread"} <= set(tensors)


def test_running_means_of_blocks_are_stored_and_not_counted(tmp_path: Path) -> None:
    trained(network=BLOCKS).save(tmp_path)
    tensors = load_file(tmp_path / PARAMETERS_FILE)
    means = [name for name in tensors if name.endswith((".mean", ".variance")) and name.startswith("network.")]
    learned = sum(value.numel() for name, value in tensors.items() if name.startswith("network.") and name not in means)
    assert len(means) == 4
    assert json.loads((tmp_path / ARCHITECTURE_FILE).read_text())["parameters"] == learned


def test_model_without_convolutions_does_not_have_the_word(folder: Path) -> None:
    """So it is the file that it was before there were any, and those written then are read."""
    assert json.loads((folder / ARCHITECTURE_FILE).read_text())["model"].keys() == {"hidden", "activation", "dropout"}
    assert model_files.load_trained_model(folder).architecture.model.convolutions is None


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (NumberHead("number", "relu", "l1", "USD"), 1),
        (NumberHead("number", "relu", "l1", "USD", "log"), 2),
        (NumberHead("number", "relu", "quantile", "USD", quantile=0.9), 2),
        (SoftmaxHead("softmax", ("a", "b")), 1),
        (SoftmaxHead("softmax", ("a", "b"), balance=True), 2),
    ],
)
def test_model_has_the_first_format_that_holds_its_head(head: AnyHead, expected: int) -> None:
    assert build_architecture("task", ImageInputs("pictures", 8), HIDDEN, head).format == expected


def test_model_of_a_table_has_the_first_format_that_holds_its_inputs(tmp_path: Path) -> None:
    trained("table").save(tmp_path)
    plain = json.loads((tmp_path / ARCHITECTURE_FILE).read_text())
    assert plain["format"] == 1
    assert plain["inputs"].keys() == {"kind", "numbers", "flagged", "categories", "levels"}
    for encoding in ENCODINGS:
        ours = trained("table", encoding=encoding)
        ours.save(tmp_path)
        plain = json.loads((tmp_path / ARCHITECTURE_FILE).read_text())
        assert (plain["format"], plain["inputs"]["encoding"], plain["inputs"]["bins"]) == (2, encoding, [32, 32])
        inputs = table_examples().inputs
        assert torch.equal(model_files.load_trained_model(tmp_path).predict(inputs), ours.predict(inputs))


def test_demonstration_cannot_be_passed_off_as_a_model_of_real_data(tmp_path: Path) -> None:
    ours = trained()
    replace(ours, architecture=replace(ours.architecture, drawn=True)).save(tmp_path)
    assert model_files.load_trained_model(tmp_path).architecture.drawn
    with pytest.raises(ModelError, match="was trained with another architecture"):
        model_files.load_trained_model(rewritten(tmp_path, drawn=False))


def test_model_of_real_data_does_not_have_the_word_drawn(folder: Path) -> None:
    assert "drawn" not in json.loads((folder / ARCHITECTURE_FILE).read_text())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channels": [4] * 9}, r"model.convolutions.channels: Tuple should have at most 8 items"),
        ({"channels": []}, r"model.convolutions.channels: Tuple should have at least 1 item"),
        ({"channels": [4, 6, 6, 6]}, r"model.convolutions: images of 8 x 8 cannot be halved 4 times"),
        ({"channels": [4, 5_000]}, r"model.convolutions.channels.1: Input should be less than or equal to 4096"),
        ({"channels": [4, True]}, r"model.convolutions.channels.1: Input should be a valid integer"),
        ({"channels": [4096, 4096]}, r"parameters: the layers have 151,138,323; got 387"),
        ({"kernel": 4}, r"model.convolutions.kernel: 3, 5 or 7; got 4"),
        ({"kernel": 3.0}, r"model.convolutions.kernel: Input should be a valid integer"),
        ({"pooling": "eval"}, r"model.convolutions.pooling: Input should be 'max' or 'average'"),
        ({"stride": 2}, r"model.convolutions.stride: Unexpected keyword argument"),
        ({"pooling": "average"}, r"was trained with another architecture"),
    ],
)
def test_refuses_blocks_outside_the_vocabulary(changes: dict[str, object], said: str, tmp_path: Path) -> None:
    trained(network=BLOCKS).save(tmp_path)
    plain = json.loads((tmp_path / ARCHITECTURE_FILE).read_text())["model"]
    with pytest.raises(ModelError, match=said):
        model_files.load_trained_model(
            rewritten(tmp_path, model=plain | {"convolutions": plain["convolutions"] | changes})
        )


def test_refuses_blocks_that_make_too_much_of_a_picture_and_blocks_on_a_table(tmp_path: Path) -> None:
    trained(network=BLOCKS).save(tmp_path / "pictures")
    plain = json.loads((tmp_path / "pictures" / ARCHITECTURE_FILE).read_text())
    wide = {**plain["model"], "convolutions": {"channels": [4096], "kernel": 3, "pooling": "max"}}
    with pytest.raises(ModelError, match=r"may have 67,108,864 activations per image; this one has 1,073,741,824"):
        model_files.load_trained_model(
            rewritten(tmp_path / "pictures", model=wide, inputs={"kind": "pictures", "size": 512})
        )
    trained("table").save(tmp_path / "table")
    with pytest.raises(ModelError, match=r"model.convolutions: need image inputs; got inputs of kind table"):
        model_files.load_trained_model(rewritten(tmp_path / "table", model=plain["model"]))


def test_files_name_each_other_by_hash(folder: Path) -> None:
    architecture = model_files.load_trained_model(folder).architecture
    content = (folder / PARAMETERS_FILE).read_bytes()
    assert architecture.parameters_sha256 == hashlib.sha256(content).hexdigest()
    assert hashlib.sha256(architecture.canonical_json()).hexdigest().encode() in content[:2000]


@settings(max_examples=40, deadline=None)
@given(place=st.floats(0, 0.999), bit=st.integers(0, 7))
def test_any_changed_byte_of_the_parameters_is_refused(
    place: float, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    trained_once.save(folder)
    content = bytearray((folder / PARAMETERS_FILE).read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    (folder / PARAMETERS_FILE).write_bytes(content)
    with pytest.raises(ModelError, match=r"does not belong to architecture\.json beside it, or was changed"):
        model_files.load_trained_model(folder)


trained_once = trained()


def rewritten(folder: Path, **changes: object) -> Path:
    plain = json.loads((folder / ARCHITECTURE_FILE).read_text())
    (folder / ARCHITECTURE_FILE).write_text(json.dumps(plain | changes))
    return folder


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"_target_": "os.system"}, "_target_: Unexpected keyword argument"),
        ({"parameters": 3}, "parameters: the layers have 1,595; got 3"),
        ({"model": {"hidden": [8, -1], "activation": "gelu", "dropout": 0.1}}, "model.hidden.1"),
        ({"model": {"hidden": [8, True], "activation": "gelu", "dropout": 0.1}}, "model.hidden.1"),
        ({"model": {"hidden": [8, 4], "activation": "exec", "dropout": 0.1}}, "model.activation"),
        ({"head": {"kind": "eval", "classes": ["a"]}}, "head: "),
    ],
)
def test_refuses_words_outside_the_vocabulary(changes: dict[str, object], said: str, folder: Path) -> None:
    with pytest.raises(ModelError, match=said):
        model_files.load_trained_model(rewritten(folder, **changes))


def test_another_activation_of_equal_shapes_is_refused(folder: Path) -> None:
    """The parameters file carries the hash of the architecture it was trained with."""
    rewritten(folder, model={"hidden": [8, 4], "activation": "relu", "dropout": 0.1})
    with pytest.raises(ModelError, match="was trained with another architecture"):
        model_files.load_trained_model(folder)


def test_refuses_a_folder_without_the_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no such file; a model is architecture\.json and parameters\.safetensors"):
        model_files.load_trained_model(tmp_path)


@pytest.mark.parametrize("old", [True, False])
def test_killed_at_any_step_it_is_the_old_model_or_the_new_one_or_none(old: bool, tmp_path: Path) -> None:
    """There is none where none was, and between the two moves that put the new one in the old one's place."""
    setup = "from tests.artifact.test_model_files import trained; first, second = trained(), trained('table')"
    before = "first.save(directory / 'model')" if old else ""
    directories = kill_at_every_step(setup, before, "second.save(directory / 'model')", tmp_path)
    folders = [directory / "model" for directory in directories]
    found = [
        model_files.load_trained_model(folder).architecture.inputs.kind if folder.exists() else "none"
        for folder in folders
    ]
    assert len(directories) > 10
    assert found == sorted(found, key=["pictures", "none", "table"].index)
    assert found.count("none") == (1 if old else found.index("table"))
    assert found[-1] == "table"
    for directory, folder in zip(directories, folders, strict=True):
        trained_once.save(folder)
        assert [file.name for file in directory.iterdir()] == ["model"]
        assert sorted(file.name for file in folder.iterdir()) == [ARCHITECTURE_FILE, PARAMETERS_FILE]
