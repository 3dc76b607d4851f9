"""`training.gradient_clip`: each member's gradient is clipped by its own norm, as torch clips that of one network."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils import clip_grad_norm_

from pipeline.config.heads import SoftmaxConfig
from pipeline.config.model import Convolutions, Model
from pipeline.config.overrides import ConfigError
from pipeline.config.reader import read_search
from pipeline.config.schema import Training
from pipeline.study.problem import Problem
from pipeline.training.engine import AutogradStack, FusedDenseStack, Member, NetworkStack, StreamSeeds
from pipeline.training.engine.gradient_clipping import clip_gradients_
from tests.conftest import picture_examples, question
from tests.training.plain_loop import build_plain, train_plain

TRAINING = Training(2, 16, 0.5, 0.01, "sgd", None, flip=False, shift=0)
CLIPS = (None, 0.05, 0.3, 1e6)


@pytest.fixture(scope="module")
def asked() -> Problem:
    return question(picture_examples(), SoftmaxConfig("softmax"), "accuracy")


@given(st.integers(1, 5), st.sampled_from([0.01, 1.0, 100.0]), st.integers(0, 9))
def test_each_slot_is_clipped_as_torch_clips_a_network(slots: int, max_norm: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(16, 7), (16,), (3, 16), (3,)]
    gradients = [torch.randn(slots, *shape, generator=generator) * (1 + 9 * seed) for shape in shapes]
    expected = []
    for slot in range(slots):
        parameters = [torch.zeros(shape, requires_grad=True) for shape in shapes]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient[slot].clone()
        clip_grad_norm_(parameters, max_norm)
        expected.append([parameter.grad for parameter in parameters])
    alone = [[gradient[slot : slot + 1].clone() for gradient in gradients] for slot in range(slots)]
    clip_gradients_(gradients, max_norm)
    for slot, own in enumerate(alone):
        clip_gradients_(own, max_norm)
        for gradient, theirs, mine in zip(gradients, expected[slot], own, strict=True):
            assert torch.allclose(gradient[slot], theirs, rtol=1e-5)
            assert torch.equal(gradient[slot], mine[0])


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_slot_has_the_same_digits_alone_and_beside_others() -> None:
    """Also where it is larger than what one thread takes at a time."""
    gradients = [torch.randn(5, 96, 1285), torch.randn(5, 96), torch.randn(5, 16, 96)]
    found = []
    for slots in (slice(2, 3), slice(5), slice(1, 4)):
        own = [gradient[slots].clone() for gradient in gradients]
        clip_gradients_(own, 0.1)
        found.append(own[0][2 - (slots.start or 0)])
    assert all(torch.equal(each, found[0]) for each in found)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("stack_class", [FusedDenseStack, AutogradStack])
def test_steps_are_those_of_a_plain_loop(asked: Problem, stack_class: type, optimizer: str) -> None:
    """In one stack with a member that is not clipped, and one whose gradients are never as long."""
    data = asked.fold_data_builder().build_folds(asked.splits)[0]
    training = replace(TRAINING, optimizer=optimizer, learning_rate=0.5 if optimizer == "sgd" else 0.01)
    members = [
        Member(Model((8,), "relu", 0.0), replace(training, gradient_clip=clip), StreamSeeds(1, 2), data)
        for clip in CLIPS
    ]
    stack: NetworkStack = stack_class(members, asked.task.inputs, asked.task.head, "fp32")
    first = stack.state_dict(0)
    for epoch in range(training.epochs):
        stack.train_epoch(epoch)
    for index, member in enumerate(members):
        plain, steps = build_plain(asked, member, first)
        max_norm = math.inf if member.training.gradient_clip is None else member.training.gradient_clip
        train_plain(asked, member, plain, steps, partial(clip_grad_norm_, tuple(plain.parameters()), max_norm))
        for mine, theirs in zip(stack.state_dict(index).values(), plain.state_dict().values(), strict=True):
            assert torch.allclose(mine, theirs, atol=2e-5)
    unclipped, *_, loose = (stack.state_dict(index) for index in range(len(CLIPS)))
    assert all(torch.equal(unclipped[name], loose[name]) for name in loose)
    assert not torch.equal(unclipped["layers.0.weight"], stack.state_dict(1)["layers.0.weight"])


def test_gradients_of_convolutions_are_clipped_too(asked: Problem) -> None:
    """By plain descent without decay a step is at most as long as the rate times the norm."""
    data = asked.fold_data_builder().build_folds(asked.splits)[0]
    training = replace(TRAINING, weight_decay=0.0, gradient_clip=0.05)
    member = Member(Model((), "relu", 0.0, Convolutions((4,), 3, "max")), training, StreamSeeds(1, 2), data)
    stack = AutogradStack([member], asked.task.inputs, asked.task.head, "fp32")

    def read_values() -> torch.Tensor:
        return torch.cat([each.detach().flatten() for each in stack.networks[0].network.parameters()])

    values = [read_values()]
    stack.train_epoch(0, lambda: values.append(read_values()))
    lengths = [float((after - before).norm()) for before, after in pairwise(values)]
    assert lengths
    assert max(lengths) <= 0.5 * 0.05 * 1.001


def test_refuses_a_norm_of_zero() -> None:
    with pytest.raises(ConfigError) as error:
        read_search(["task=cat_species", "training.gradient_clip=0"])
    assert error.value.lines == ("training.gradient_clip: greater than 0; got 0",)


def test_slot_of_any_shape_has_the_same_digits_in_a_stack_of_any_size() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(400):
        slots, nodes, inputs, kept = (int(torch.randint(high, (), generator=generator)) for high in (14, 5, 70, 2))
        shapes = [(16 * (nodes + 1), inputs + 1), (16 * (nodes + 1),)]
        gradients = [torch.randn(slots + 2, *shape, generator=generator) for shape in shapes]
        alone = [gradient[kept : kept + 1].clone() for gradient in gradients]
        clip_gradients_(gradients, 0.1)
        clip_gradients_(alone, 0.1)
        assert all(torch.equal(own[0], gradient[kept]) for own, gradient in zip(alone, gradients, strict=True))
