"""`model.norm` and `model.residual`: layers of torch, searched, saved, exported and served like any other network."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.artifact.architecture import ARCHITECTURE_ADAPTER, build_architecture
from pipeline.artifact.model_files import TrainedModel, load_trained_model
from pipeline.config.heads import NumberConfig, SoftmaxConfig
from pipeline.config.model import Convolutions, Model, NormName
from pipeline.config.overrides import ConfigError
from pipeline.config.reader import read_search
from pipeline.config.schema import Training
from pipeline.models.networks import DenseNetwork, build_network, count_parameters, network_tensor_shapes
from pipeline.runtime import seeds
from pipeline.training.engine import AutogradStack, Member, StreamSeeds, build_stack
from tests.conftest import picture_examples, question, table_examples

MODELS = [
    Model((6, 6), "relu", 0.2, norm="batch"),
    Model((6, 6), "gelu", 0.0, norm="layer", residual=True),
    Model((7, 6), "tanh", 0.2, residual=True),
    Model((6, 6, 5), "relu", 0.0, Convolutions((4, 5), 3, "max"), norm="batch", residual=True),
]
TRAINING = Training(3, 16, 0.01, 0.01, "adamw", None, flip=False, shift=0, ema_decay=0.9, schedule="cosine")


class PlainLayer(nn.Module):
    """A hidden layer of torch's own modules."""

    def __init__(self, inputs: int, nodes: int, norm: NormName, *, adds_input: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, nodes)
        self.norm: nn.Module = {"none": nn.Identity, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}[norm](nodes)
        self.adds_input = adds_input

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        nodes: torch.Tensor = self.norm(self.linear(rows)).relu()
        return rows + nodes if self.adds_input else nodes


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_layers_are_those_of_torch(norm: NormName, residual: bool) -> None:
    """In training and in evaluation; a layer after one of another width adds nothing, as the first one."""
    network = DenseNetwork(6, Model((6, 6, 4), "relu", 0.0, norm=norm, residual=residual), 2)
    network.init_weights(seeds.make_generator(0))
    plain = nn.Sequential(
        PlainLayer(6, 6, norm, adds_input=False),
        PlainLayer(6, 6, norm, adds_input=residual),
        PlainLayer(6, 4, norm, adds_input=False),
        nn.Linear(4, 2),
    )
    for index in range(3):
        plain[index].linear.load_state_dict(network.layers[index].state_dict())
    plain[3].load_state_dict(network.layers[3].state_dict())
    generator = torch.Generator().manual_seed(0)
    for training in (True, False, True, False):
        rows = torch.randn(9, 6, generator=generator)
        network.train(training), plain.train(training)
        assert torch.allclose(network(rows), plain(rows), atol=1e-5)


def test_single_row_is_normalized_by_the_running_statistics() -> None:
    network = DenseNetwork(4, Model((3,), "relu", 0.0, norm="batch"), 1)
    network.init_weights(seeds.make_generator(0))
    rows = torch.randn(1, 4)
    assert torch.equal(network.train()(rows), network.eval()(rows))
    assert not network.norms[0].mean.any()


@pytest.mark.parametrize("model", MODELS)
def test_parameters_and_shapes_to_the_number(model: Model) -> None:
    network = build_network(192, model, 2)
    assert count_parameters(192, model, 2) == sum(parameter.numel() for parameter in network.parameters())
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert network_tensor_shapes(192, model, 2) == shapes


@pytest.mark.parametrize("model", MODELS)
def test_member_is_bitwise_the_same_alone_and_from_a_checkpoint(model: Model) -> None:
    asked = question(picture_examples(), SoftmaxConfig("softmax"), "accuracy")
    folds = asked.fold_data_builder().build_folds(asked.splits)
    members = [Member(model, TRAINING, StreamSeeds(1, 2), data) for data in folds]

    def build(these: list[Member]) -> AutogradStack:
        stack = build_stack(these, asked.task.inputs, asked.task.head, "fp32")
        assert isinstance(stack, AutogradStack)
        return stack

    together, alone, resumed = build(members), build(members[1:2]), build(members[1:2])
    for epoch in range(3):
        together.train_epoch(epoch)
        alone.train_epoch(epoch)
        if epoch == 0:
            resumed.load_training_state(0, together.training_state(1))
        else:
            resumed.train_epoch(epoch)
    for name, weights in together.state_dict(1).items():
        assert torch.equal(alone.state_dict(0)[name], weights)
        assert torch.equal(resumed.state_dict(0)[name], weights)


def test_files_at_the_defaults_do_not_have_the_keys() -> None:
    task = question(table_examples(), NumberConfig("number", "identity", "l1", ""), "mean_absolute_error").task
    plain = build_architecture("t", task.inputs, Model((6,), "relu", 0.0), task.head).canonical_json()
    assert b"norm" not in plain
    assert b"residual" not in plain
    model = Model((6,), "relu", 0.0, norm="layer", residual=True)
    architecture = build_architecture("t", task.inputs, model, task.head)
    assert b'"norm":"layer"' in architecture.canonical_json()
    assert architecture.format == 2
    assert ARCHITECTURE_ADAPTER.validate_json(architecture.to_json()) == architecture


@pytest.mark.parametrize("model", MODELS)
def test_trained_model_is_saved_and_predicts_as_before(model: Model, tmp_path: Path) -> None:
    asked = question(picture_examples(), SoftmaxConfig("softmax"), "accuracy")
    data = asked.fold_data_builder().build_folds(asked.splits)[0]
    stack = build_stack([Member(model, TRAINING, StreamSeeds(1, 2), data)], asked.task.inputs, asked.task.head, "fp32")
    for epoch in range(3):
        stack.train_epoch(epoch)
    architecture = build_architecture("t", asked.task.inputs, model, asked.task.head)
    weights = stack.state_dict(0)
    trained = TrainedModel.from_network(architecture, weights, data.input_constants, data.target_constants)
    trained.save(tmp_path / "model")
    loaded = load_trained_model(tmp_path / "model")
    predictions = loaded.predict(asked.examples.inputs.take(data.validation.numpy()))
    assert torch.allclose(predictions, stack.validate()[0], atol=1e-6)


def test_is_without_effect_where_there_is_no_hidden_layer() -> None:
    settings = read_search(["task=house_price", "model.norm={choice: [none, batch, layer]}", "model.residual=true"])
    assert settings.space.settings["model.residual"] is True
    assert replace(MODELS[0], norm="none").has_plain_layers
    assert not MODELS[2].has_plain_layers


@pytest.mark.parametrize("key", ["model.norm=batch", "model.residual=true"])
def test_refuses_a_backbone_that_is_finetuned(key: str) -> None:
    name = key.partition("=")[0]
    with pytest.raises(ConfigError) as error:
        read_search(["task=cat_species", "model.backbone=resnet18", "model.finetune=all", key])
    assert error.value.lines == (f"{name}: is for model.finetune=none; got model.finetune=all; leave one out",)
