"""Networks: sizes to the number, and no hidden layer is regression."""

import pytest
import torch
from torch.nn import functional

from pipeline import seeds
from pipeline.config.schema import Model
from pipeline.network import Dense, parameter_count


@pytest.mark.parametrize(
    ("features", "hidden", "outputs", "count"),
    [
        (12_288, (), 1, 12_289),
        (12_288, (), 3, 36_867),
        (10, (3, 2), 1, (3 * 10 + 3) + (2 * 3 + 2) + (2 + 1)),
    ],
)
def test_parameters_to_the_number(features: int, hidden: tuple[int, ...], outputs: int, count: int) -> None:
    network = Dense(features, Model(hidden, "relu", 0.0), outputs)
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert parameter_count(features, hidden, outputs) == count


def test_no_hidden_layer_is_linear() -> None:
    network = Dense(4, Model((), "relu", 0.0), 2)
    network.initialise(seeds.generator(0))
    rows = torch.randn(5, 4)
    layer = network.layers[0]
    assert torch.equal(network(rows), functional.linear(rows, layer.weight, layer.bias))


@pytest.mark.parametrize(("name", "function"), [("relu", torch.relu), ("gelu", functional.gelu), ("tanh", torch.tanh)])
def test_hidden_layers_have_their_activation(name: str, function: object) -> None:
    network = Dense(4, Model((3,), name, 0.5), 1)
    network.initialise(seeds.generator(1))
    rows = torch.randn(6, 4)
    first, last = network.layers
    expected = functional.linear(function(functional.linear(rows, first.weight, first.bias)), last.weight, last.bias)
    assert torch.allclose(network(rows), expected)


def test_weights_depend_on_their_names_alone() -> None:
    first, second, other = (Dense(4, Model((3,), "relu", 0.0), 1) for _ in range(3))
    first.initialise(seeds.generator(7, "weights"))
    torch.rand(100)  # the library's own generator has no part in it
    second.initialise(seeds.generator(7, "weights"))
    other.initialise(seeds.generator(8, "weights"))
    assert torch.equal(first.layers[0].weight, second.layers[0].weight)
    assert not torch.equal(first.layers[0].weight, other.layers[0].weight)
    assert float(first.layers[0].weight.detach().abs().max()) <= 0.5
