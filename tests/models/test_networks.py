"""Networks: sizes to the number, and no hidden layer is regression."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from pipeline.config.model import Convolutions, Model
from pipeline.models.networks import (
    ConvolutionalNetwork,
    DenseNetwork,
    build_network,
    count_dense_parameters,
    count_parameters,
    network_tensor_shapes,
)
from pipeline.runtime import seeds


@pytest.mark.parametrize(
    ("features", "hidden", "outputs", "count"),
    [
        (12_288, (), 1, 12_289),
        (12_288, (), 3, 36_867),
        (10, (3, 2), 1, (3 * 10 + 3) + (2 * 3 + 2) + (2 + 1)),
    ],
)
def test_parameters_to_the_number(features: int, hidden: tuple[int, ...], outputs: int, count: int) -> None:
    network = DenseNetwork(features, Model(hidden, "relu", 0.0), outputs)
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert count_dense_parameters(features, hidden, outputs) == count


def test_no_hidden_layer_is_linear() -> None:
    network = DenseNetwork(4, Model((), "relu", 0.0), 2)
    network.init_weights(seeds.make_generator(0))
    rows = torch.randn(5, 4)
    layer = network.layers[0]
    assert torch.equal(network(rows), functional.linear(rows, layer.weight, layer.bias))


@pytest.mark.parametrize(("name", "function"), [("relu", torch.relu), ("gelu", functional.gelu), ("tanh", torch.tanh)])
def test_hidden_layers_have_their_activation(name: str, function: object) -> None:
    network = DenseNetwork(4, Model((3,), name, 0.5), 1)
    network.init_weights(seeds.make_generator(1))
    rows = torch.randn(6, 4)
    first, last = network.layers
    expected = functional.linear(function(functional.linear(rows, first.weight, first.bias)), last.weight, last.bias)
    assert torch.allclose(network(rows), expected)


def test_weights_depend_on_their_names_alone() -> None:
    first, second, other = (DenseNetwork(4, Model((3,), "relu", 0.0), 1) for _ in range(3))
    first.init_weights(seeds.make_generator(7, "weights"))
    torch.rand(100)  # the library's own generator has no part in it
    second.init_weights(seeds.make_generator(7, "weights"))
    other.init_weights(seeds.make_generator(8, "weights"))
    assert torch.equal(first.layers[0].weight, second.layers[0].weight)
    assert not torch.equal(first.layers[0].weight, other.layers[0].weight)
    assert float(first.layers[0].weight.detach().abs().max()) <= 0.5


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (Model((), "relu", 0.0, Convolutions((4,), 3, "max")), (4 * 3 * 9 + 4 + 4) + (4 * 2 + 2)),
        (
            Model((6,), "relu", 0.0, Convolutions((4, 5), 5, "average")),
            (4 * 3 * 25 + 8) + (5 * 4 * 25 + 10) + (5 * 6 + 6) + (6 * 2 + 2),
        ),
    ],
)
def test_parameters_of_blocks_to_the_number_and_their_shapes_as_they_are(model: Model, count: int) -> None:
    network = build_network(192, model, 2)
    assert count_parameters(192, model, 2) == sum(parameter.numel() for parameter in network.parameters()) == count
    assert network_tensor_shapes(192, model, 2) == {
        name: tuple(value.shape) for name, value in network.state_dict().items()
    }


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_blocks_are_those_of_the_library(pooling: str) -> None:
    """Convolution, pooling, normalisation, activation; the mean of each channel; the hidden layers."""
    network = ConvolutionalNetwork(192, Model((), "relu", 0.0, Convolutions((4, 5), 3, pooling)), 2)
    network.init_weights(seeds.make_generator(0))
    pool = nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2)
    layers: list[nn.Module] = []
    for before, channels in ((3, 4), (4, 5)):
        layers += [nn.Conv2d(before, channels, 3, padding=1, bias=False), pool, nn.BatchNorm2d(channels), nn.ReLU()]
    plain = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2))
    state = network.state_dict()
    values = [state[name] for place in (0, 1) for name in (f"blocks.blocks.{place}.{part}" for part in PARTS)]
    values += [state["dense.layers.0.weight"], state["dense.layers.0.bias"]]
    names = [name for name in plain.state_dict() if not name.endswith("tracked")]
    plain.load_state_dict(dict(zip(names, values, strict=True)), strict=False)
    for training in (True, False, True, False):  # also with the running means that training leaves
        pictures = torch.randn(6, 3, 8, 8)
        network.train(training), plain.train(training)
        assert torch.allclose(network(pictures.flatten(1)), plain(pictures), atol=1e-5)


def test_single_row_of_a_single_pixel_is_normalised_by_the_running_means() -> None:
    """The last minibatch of an epoch may have one row, and the last block leave one pixel of it."""
    network = ConvolutionalNetwork(192, Model((), "relu", 0.0, Convolutions((4, 5, 6), 3, "max")), 2)
    network.init_weights(seeds.make_generator(0))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    picture = torch.randn(1, 192)
    network.train()(picture).sum().backward()
    assert torch.equal(network.blocks.blocks[2].mean, before["blocks.blocks.2.mean"])
    assert not torch.equal(network.blocks.blocks[1].mean, before["blocks.blocks.1.mean"])
    assert all(bool(parameter.grad.isfinite().all()) for parameter in network.parameters())


PARTS = ("weight", "scale", "offset", "mean", "variance")


def test_answers_do_not_depend_on_how_many_pictures_are_taken_at_a_time() -> None:
    network = ConvolutionalNetwork(192, Model((3,), "gelu", 0.0, Convolutions((4, 5), 3, "max")), 2)
    network.init_weights(seeds.make_generator(0))
    network.eval()
    pictures = torch.randn(7, 192)
    whole = network(pictures)
    network.eval_batch_size = 2
    assert torch.allclose(network(pictures), whole, atol=1e-6)
