"""Which trials share a stack, and how many shapes a space holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.model import Convolutions, FinetuneSpec, Model
from pipeline.config.reader import read_search
from pipeline.config.schema import Training
from pipeline.study.space import count_architectures
from pipeline.training.engine.batching_rule import (
    MAX_MEMBERS_PER_GPU_STACK,
    MAX_TRIALS_PER_CPU_STACK,
    StackKey,
    StackLimits,
    group_by_stack_key,
)

SMALL, LARGE = StackKey((16,), "relu", 64, "adamw"), StackKey((256,), "relu", 64, "adamw")


@given(
    st.lists(st.sampled_from([SMALL, LARGE, StackKey((), "relu", 64, "sgd")]), max_size=40),
    st.sampled_from([StackLimits(), StackLimits(8e9), StackLimits(8e9, 3), StackLimits(1.0)]),
)
def test_every_trial_is_in_one_group_of_its_own_shape(shapes_: list[StackKey], room: StackLimits) -> None:
    found = group_by_stack_key(shapes_, 5, 64, 10, room)
    assert sorted(place for group in found for place in group) == list(range(len(shapes_)))
    assert all(len({shapes_[place] for place in group}) == 1 for group in found)


def test_on_a_cpu_only_small_networks_have_company_and_a_gpu_is_filled() -> None:
    assert [len(group) for group in group_by_stack_key([SMALL] * 20, 5, 64, 10, StackLimits())] == [
        MAX_TRIALS_PER_CPU_STACK
    ] * 2 + [4]
    assert [len(group) for group in group_by_stack_key([LARGE] * 3, 5, 12_288, 10, StackLimits())] == [1, 1, 1]
    full = MAX_MEMBERS_PER_GPU_STACK // 5
    assert [len(group) for group in group_by_stack_key([SMALL] * (full + 1), 5, 64, 10, StackLimits(8e9))] == [full, 1]


def test_gpu_takes_as_many_as_its_free_memory_and_no_more_than_typed() -> None:
    """Of a network with 3,148,554 weights, five numbers each, and 13,354 for each row of a minibatch."""
    bytes_ = 4 * (5 * 3_148_554 + 64 * (12_288 + 4 * 266))
    for trials in (1, 3, 7):
        room = StackLimits((5 * trials * bytes_ + 1) / 0.8)
        assert len(group_by_stack_key([LARGE] * 8, 5, 12_288, 10, room)[0]) == trials
    assert [len(group) for group in group_by_stack_key([LARGE] * 2, 5, 12_288, 10, StackLimits(1e3))] == [1, 1]
    assert [len(group) for group in group_by_stack_key([SMALL] * 7, 5, 64, 10, StackLimits(8e9, 3))] == [3, 3, 1]
    assert [len(group) for group in group_by_stack_key([SMALL] * 7, 5, 64, 10, StackLimits(None, 3))] == [3, 3, 1]


@pytest.mark.parametrize(
    "model",
    [
        Model((16,), "relu", 0.0, Convolutions((4,), 3, "max")),
        Model((16,), "relu", 0.0, tail=FinetuneSpec("resnet18", "last")),
        Model((16,), "relu", 0.0, norm="batch"),
        Model((16,), "relu", 0.0, norm="layer"),
        Model((16,), "relu", 0.0, residual=True),
    ],
)
def test_what_autograd_trains_is_alone_in_its_stack(model: Model) -> None:
    shape = StackKey.from_trial(model, Training(1, 64, 0.01, 0.0, "adamw", None, flip=False, shift=0))
    assert [len(group) for group in group_by_stack_key([shape] * 3, 5, 192, 10, StackLimits())] == [1, 1, 1]
    assert [len(group) for group in group_by_stack_key([shape] * 3, 5, 192, 10, StackLimits(8e9))] == [1, 1, 1]


def test_shapes_of_a_space_are_counted() -> None:
    def count(*words: str) -> int:
        return count_architectures(read_search(["task=cat_species", *words]).space)

    assert count() == 1 + 9 + 9**2 + 9**3
    assert count("model.shape=same") == 1 + 9 + 9 + 9
    assert count("model.nodes=[64,32]") == 1
    assert (
        count("model.layers=2", "model.nodes={low: 10, high: 20, step: 5}", "model.shape={choice: [same, taper]}") == 6
    )
