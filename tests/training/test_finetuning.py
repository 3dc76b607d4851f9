"""Fine-tuning: the part of a backbone that is trained along, from its cut to a prediction."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline import export, predict
from pipeline.artifact import model_files
from pipeline.artifact.architecture import build_architecture
from pipeline.config.heads import SoftmaxConfig
from pipeline.config.model import BackboneConfig, FinetunePart, FinetuneSpec, Model
from pipeline.config.reader import read_search
from pipeline.config.schema import FinetuneTraining, Training
from pipeline.data.examples import BackboneFeatures, Images
from pipeline.models import networks as network
from pipeline.models.backbones import PretrainedBackbone, architectures, split
from pipeline.preprocessing.backbone_activations import IndexedActivations
from pipeline.runtime.errors import UserError
from pipeline.runtime.parallel import available_cores
from pipeline.runtime.signals import SearchInterrupted
from pipeline.study.problem import Problem, build_problem
from pipeline.training.checkpoints import CheckpointPolicy, CheckpointStore
from pipeline.training.engine import AutogradStack, FoldData, Member, StreamSeeds, build_stack
from pipeline.training.engine.finetuning import BACKBONE_TAIL_PREFIX, FinetunedSingleNetwork, FinetuneStack
from pipeline.training.fit import cross_validate_trials
from pipeline.training.trials import TrialSpec
from tests.conftest import picture_examples, question, search
from tests.training.test_checkpoints import Stopping, assert_equal, never

CPU, NAME = torch.device("cpu"), "efficientnet_lite0"
TRAINING = Training(2, 16, 0.01, 0.01, "adamw", None, flip=False, shift=0, finetuning=FinetuneTraining(2, 1e-3))
FAMILIES = (
    "efficientnet_lite0",
    "resnet18",
    "regnet_y_400mf",
    "efficientnet_b0",
    "convnext_tiny",
    "mobilenet_v2",
    "mobilenet_v3_small",
)


def backbone(part: FinetunePart) -> PretrainedBackbone:
    return PretrainedBackbone.from_config(BackboneConfig(NAME, None, part), Path("not needed"), CPU)


def asked_of(part: FinetunePart, views: int = 2) -> Problem:
    examples = picture_examples(62, size=32)
    assert isinstance(examples.inputs, Images)
    frozen, outputs = (
        backbone(part),
        PretrainedBackbone.from_config(BackboneConfig(NAME, None, "none"), Path("not needed"), CPU),
    )
    seen = replace(frozen.extract(examples.inputs, views), views=outputs.extract(examples.inputs, views).views)
    return question(replace(examples, inputs=seen), SoftmaxConfig("softmax"), "accuracy")


@pytest.fixture(autouse=True)
def _every_core() -> Iterator[None]:
    """Give torch every core: with one thread oneDNN's convolutions round the same row differently in other batches."""
    before = torch.get_num_threads()
    torch.set_num_threads(len(available_cores()))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["last", "all"])
def asked(request: pytest.FixtureRequest) -> Problem:
    return asked_of(request.param)


def folds_of(asked: Problem) -> list[FoldData]:
    return asked.fold_data_builder().build_folds(asked.splits)


def deep_of(asked: Problem) -> IndexedActivations:
    assert isinstance(asked.examples.inputs, BackboneFeatures)
    assert asked.examples.inputs.activations is not None
    return IndexedActivations(asked.examples.inputs.activations, CPU)


def members_of(asked: Problem, training: Training = TRAINING) -> list[Member]:
    assert isinstance(asked.examples.inputs, BackboneFeatures)
    assert asked.examples.inputs.activations is not None
    tail = FinetuneSpec(NAME, asked.examples.inputs.activations.part)
    shape = Model((6,), "relu", 0.2, tail=tail)
    return [Member(shape, training, StreamSeeds(0, 1), data) for data in folds_of(asked)]


@pytest.mark.parametrize("name", FAMILIES)
def test_stem_and_tail_are_the_whole_backbone(name: str) -> None:
    body = architectures.build_without_weights(name).eval()
    pictures = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = body(pictures)
    for part in ("last", "all"):
        tail = FinetuneSpec(name, part)
        first = split.build_stem(body, tail) or (lambda seen: seen)
        torch.testing.assert_close(split.build_tail(body, tail)(first(pictures)), expected)
        shapes = {key: tuple(value.shape) for key, value in split.build_tail(body, tail).state_dict().items()}
        assert split.tail_tensor_shapes(tail) == shapes
    assert (
        0
        < split.count_tail_parameters(FinetuneSpec(name, "last"))
        < split.count_tail_parameters(FinetuneSpec(name, "all"))
    )
    assert split.has_feature_count(name, 64, expected.shape[1])
    assert not split.has_feature_count(name, 64, expected.shape[1] + 1)


def test_rows_are_all_views_of_a_picture_or_one_of_them() -> None:
    asked = asked_of("all", views=3)
    deep, count = deep_of(asked), len(asked.examples)
    assert isinstance(asked.examples.inputs, BackboneFeatures)
    views = asked.examples.inputs.activations.views  # type: ignore[union-attr]
    both = deep[torch.tensor([4, 0])]
    assert both.shape == (2, 3, 3, 32, 32)
    assert np.array_equal(both[0], np.stack([view[4] for view in views]))
    drawn = deep[torch.tensor([count + 5, 3 * count + 7])]
    assert drawn.shape == (2, 1, 3, 32, 32)
    assert np.array_equal(drawn[0, 0], views[0][5])
    assert np.array_equal(drawn[1, 0], views[2][7])


def test_answers_are_the_head_s_until_the_backbone_has_learned(asked: Problem) -> None:
    """The network that goes on from a head answers as that head did."""
    members = members_of(asked)
    heads = build_stack(members, asked.task.inputs, asked.task.head, "fp32")
    for epoch in range(2):
        heads.train_epoch(epoch)
    expected, states = heads.validate(), [heads.state_dict(place) for place in range(len(members))]
    for member, state, answers in zip(members, states, expected, strict=True):
        lone = FinetunedSingleNetwork(member, asked.task.inputs, asked.task.head, "fp32")
        lone.network.load_state_dict(state)
        with torch.no_grad():
            torch.testing.assert_close(lone.predict_validation(), answers, atol=1e-5, rtol=1e-5)


def moved(before: dict[str, Tensor], after: dict[str, Tensor], prefix: str) -> float:
    """How far the numbers of a part have gone at most, leaving its counts out."""
    names = [name for name, value in before.items() if name.startswith(prefix) and value.is_floating_point()]
    return max(float((before[name] - after[name]).abs().max()) for name in names)


def test_backbone_learns_after_the_head_and_at_its_own_rate(asked: Problem) -> None:
    far = {}
    for rate in (1e-3, 1e-9):
        tuned = build_stack(
            members_of(asked, replace(TRAINING, finetuning=FinetuneTraining(2, rate))),
            asked.task.inputs,
            asked.task.head,
            "fp32",
        )
        tuned.train_epoch(0)
        first = tuned.state_dict(0)
        tuned.train_epoch(1)
        before = tuned.state_dict(0)
        assert moved(first, before, BACKBONE_TAIL_PREFIX) == 0
        tuned.train_epoch(2)
        after = tuned.state_dict(0)
        far[rate] = moved(before, after, BACKBONE_TAIL_PREFIX)
        assert moved(before, after, "dense.") > 1e-3
    assert far[1e-3] > 1e-4
    assert far[1e-9] < 1e-6


@pytest.mark.parametrize("asked", ["last"], indirect=True)
def test_statistics_of_the_pretraining_stay(asked: Problem) -> None:
    tuned = build_stack(members_of(asked), asked.task.inputs, asked.task.head, "fp32")
    for epoch in range(3):
        tuned.train_epoch(epoch)
    published, state = deep_of(asked).weights, tuned.state_dict(0)
    for name in (name for name in published if name.endswith(("running_mean", "running_var"))):
        assert torch.equal(published[name], state[BACKBONE_TAIL_PREFIX + name])


@pytest.mark.parametrize("asked", ["last"], indirect=True)
def test_gradients_of_pieces_add_up_to_those_of_the_minibatch(asked: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[dict[str, Tensor]] = []
    for at_once in (1000, 5):
        monkeypatch.setattr(FinetunedSingleNetwork, "microbatch_size", at_once)
        tuned = build_stack(
            members_of(
                asked, replace(TRAINING, optimizer="sgd", learning_rate=1e-3, finetuning=FinetuneTraining(2, 1e-4))
            ),
            asked.task.inputs,
            asked.task.head,
            "fp32",
        )
        losses = [tuned.train_epoch(epoch) for epoch in range(3)]
        found.append({"loss": losses[2], **tuned.state_dict(1)})
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, atol=1e-5, rtol=1e-4)


class Watched(IndexedActivations):
    """How many rows at once are asked for."""

    asked: list[int]

    def __getitem__(self, rows: Tensor) -> Tensor:
        self.asked.append(len(rows))
        return super().__getitem__(rows)


@pytest.mark.parametrize("asked", ["last"], indirect=True)
def test_validation_reads_no_more_rows_at_once_than_training(asked: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(asked.examples.inputs, BackboneFeatures)
    assert asked.examples.inputs.activations is not None
    deep, found = Watched(asked.examples.inputs.activations, CPU), []
    member = members_of(asked)[0]
    state = build_stack([member], asked.task.inputs, asked.task.head, "fp32").state_dict(0)
    for at_once in (1000, 5):
        deep.asked = []
        monkeypatch.setattr(FinetunedSingleNetwork, "microbatch_size", at_once)
        lone = FinetunedSingleNetwork(
            replace(member, data=replace(member.data, backbone_activations=deep)),
            asked.task.inputs,
            asked.task.head,
            "fp32",
        )
        lone.network.load_state_dict(state)
        with torch.no_grad():
            found.append(lone.predict_validation())
        assert max(deep.asked) == min(at_once, len(member.data.validation))
    torch.testing.assert_close(found[1], found[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("asked", ["last"], indirect=True)
def test_part_of_a_backbone_takes_all_threads_and_is_saved_once(asked: Problem) -> None:
    tuned = build_stack(members_of(asked), asked.task.inputs, asked.task.head, "fp32")
    for epoch in range(3):
        tuned.train_epoch(epoch)
    assert isinstance(tuned, FinetuneStack)
    assert isinstance(tuned.stack, AutogradStack)
    assert not tuned.stack.is_small
    state = tuned.training_state(0)
    saved = sorted(name for name, value in state.items() if name.endswith("tail.blocks.1.weight") and value.dim())
    assert [name.partition(".")[0] for name in saved] == ["exp_avg", "exp_avg_sq", "network"]
    before = state | {name.replace("network.", "judged.", 1): state[name] for name in state if "network." in name}
    other = build_stack(members_of(asked), asked.task.inputs, asked.task.head, "fp32")
    other.load_training_state(0, before)  # as they were saved once
    assert all(torch.equal(value, other.state_dict(0)[name]) for name, value in tuned.state_dict(0).items())


def test_trained_model_reads_what_its_part_reads_and_nothing_else() -> None:
    pictures = picture_examples(5, size=32).inputs
    assert isinstance(pictures, Images)
    seen = backbone("last").extract(pictures, 2)
    assert (seen.views, len(seen)) == ((), 5)
    assert seen.activations is not None
    assert [len(view) for view in seen.activations.views] == [5, 5]


def test_part_that_no_model_file_takes_is_refused_before_anything_is_computed(store: Path) -> None:
    words = ["task=day_night", "dataset.count=60", "dataset.size=32", "compute=cpu", f"store={store}"]
    with pytest.raises(UserError) as refused:
        build_problem(read_search([*words, "model.backbone=vit_h_14", "model.finetune=all"]))
    assert str(refused.value) == (
        "model.finetune: a model has at most 536,870,912 parameters; the finetuned part of vit_h_14 has "
        "630,764,800; use a smaller model.backbone, or model.finetune=none"
    )


@pytest.mark.parametrize("asked", ["last"], indirect=True)
@pytest.mark.parametrize("steps", [4, 7])
def test_interrupted_anywhere_it_is_what_it_would_have_been(asked: Problem, steps: int, tmp_path: Path) -> None:
    """Among the steps of the heads, where the backbone joins them, and among those of both."""
    tail = members_of(asked)[0].model
    trials = [TrialSpec(tail, TRAINING, StreamSeeds(0, 3), never)]
    whole = cross_validate_trials(asked.task, folds_of(asked), trials)
    assert len(whole[0].epoch_results) == 4
    calls = 0
    for calls in range(100):  # noqa: B007 -- looked at below
        keeper = CheckpointPolicy(CheckpointStore(tmp_path), {3: "it"}, Stopping(steps))
        try:
            found = cross_validate_trials(asked.task, folds_of(asked), trials, keeper)
            break
        except SearchInterrupted:
            assert list((tmp_path / "checkpoints").iterdir())
    assert calls > 0
    assert_equal(found, whole)


@pytest.mark.parametrize("asked", ["last"], indirect=True)
def test_patience_waits_until_the_backbone_has_joined(asked: Problem) -> None:
    training = replace(TRAINING, epochs=8, learning_rate=1e-9, patience=1, finetuning=FinetuneTraining(3, 1e-9))
    (outcome,) = cross_validate_trials(
        asked.task, folds_of(asked), [TrialSpec(members_of(asked)[0].model, training, StreamSeeds(0, 3), never)]
    )
    assert outcome.stop_reason == "patience"
    assert len(outcome.epoch_results) == 9


@pytest.mark.parametrize("part", ["last", "all"])
def test_prediction_is_what_was_trained_from_the_two_files_and_the_package(
    part: FinetunePart,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["task=day_night", "dataset.count=60", "dataset.size=32", "cv.folds=2", "compute=cpu", "budget.trials=2"]
    words += [f"model.backbone={NAME}", f"model.finetune={part}", "features.views=2"]
    words += ["training.epochs=2", "training.backbone_epochs=2"]
    words += ["training.backbone_learning_rate={low: 1e-4, high: 1e-3}"]
    folder = search(store, *words)
    summary = json.loads((folder / "summary.json").read_text())
    overrides = summary["best"]["overrides"]
    assert f"model.finetune={part}" in overrides
    if summary["best"]["number"]:
        assert any(word.startswith("training.backbone_learning_rate=") for word in overrides)
    trained = model_files.load_trained_model(folder / "model")
    assert trained.architecture.model.tail == FinetuneSpec(NAME, part)
    assert (
        summary["parameters"] == trained.architecture.parameters > split.count_tail_parameters(FinetuneSpec(NAME, part))
    )
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    output = tmp_path / "out.csv"
    told = [f"model={folder}/model", str(tmp_path / "photo.png"), f"output={output}"]
    assert predict.main(told) == 0
    with output.open() as stream:
        (row,) = csv.DictReader(stream)
    expected = trained.predict(backbone(part).load_or_extract(Images(pixels.transpose(2, 0, 1)[None]), 2, tmp_path))[0]
    columns: Sequence[str] = trained.architecture.head.output_names
    assert [float(row[name]) for name in columns] == pytest.approx(expected.tolist(), abs=1e-5)
    assert export.main([f"model={folder}/model", "format=onnx", f"output={tmp_path}"]) == 0
    (file,) = tmp_path.glob("*.onnx")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, {"pixels": pixels.transpose(2, 0, 1)[None]})
    assert answers[0] == pytest.approx(expected.numpy(), abs=1e-5)
    monkeypatch.setitem(sys.modules, "timm", None)
    capsys.readouterr()
    assert predict.main(told) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"model.backbone={NAME}: needs the package timm, which is not installed; pip install")


def test_file_with_a_part_of_another_backbone_is_refused(asked: Problem, tmp_path: Path) -> None:
    tuned = build_stack(members_of(asked), asked.task.inputs, asked.task.head, "fp32")
    member = tuned.members[0]
    described = build_architecture("it", asked.task.inputs, member.model, asked.task.head)
    constants = dict(member.data.input_constants)
    model_files.TrainedModel.from_network(described, tuned.state_dict(0), constants, member.data.target_constants).save(
        tmp_path / "model"
    )
    assert (
        network.count_parameters(asked.task.inputs.feature_count, member.model, 3)
        == model_files.load_trained_model(tmp_path / "model").architecture.parameters
    )
    file = tmp_path / "model" / "architecture.json"
    words = json.loads(file.read_text())
    for change, rule in (
        (
            {"model": words["model"] | {"tail": {"backbone": "resnet18", "part": "last"}}},
            "must be a part of the inputs' backbone",
        ),
        ({"model": words["model"] | {"tail": {"backbone": NAME, "part": "first"}}}, "'last' or 'all'"),
        ({"inputs": words["inputs"] | {"count": 1281}}, "does not compute 1,281 features of 32 x 32 images"),
        ({"inputs": {"kind": "pictures", "size": 32}}, "must be a part of the inputs' backbone"),
    ):
        file.write_text(json.dumps(words | change))
        with pytest.raises(model_files.ModelError, match=rule):
            model_files.load_trained_model(tmp_path / "model")
