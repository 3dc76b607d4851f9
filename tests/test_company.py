"""Which trials share a stack, and how many shapes a space holds."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.read import read
from pipeline.config.schema import Convolutions
from pipeline.engine.company import MEMBERS_ON_A_GPU, TRIALS_ON_A_CPU, Shape, groups
from pipeline.space import shapes

SMALL, LARGE = Shape((16,), "relu", 64, "adamw"), Shape((256,), "relu", 64, "adamw")


@given(st.lists(st.sampled_from([SMALL, LARGE, Shape((), "relu", 64, "sgd")]), max_size=40), st.booleans())
def test_every_trial_is_in_one_group_of_its_own_shape(shapes_: list[Shape], on_gpu: bool) -> None:
    found = groups(shapes_, 5, 64, 10, on_gpu=on_gpu)
    assert sorted(place for group in found for place in group) == list(range(len(shapes_)))
    assert all(len({shapes_[place] for place in group}) == 1 for group in found)


def test_on_a_cpu_only_small_networks_have_company_and_a_gpu_is_filled() -> None:
    assert [len(group) for group in groups([SMALL] * 20, 5, 64, 10, on_gpu=False)] == [TRIALS_ON_A_CPU] * 2 + [4]
    assert [len(group) for group in groups([LARGE] * 3, 5, 12_288, 10, on_gpu=False)] == [1, 1, 1]
    full = MEMBERS_ON_A_GPU // 5
    assert [len(group) for group in groups([LARGE] * (full + 1), 5, 12_288, 10, on_gpu=True)] == [full, 1]


def test_convolutions_are_trained_alone() -> None:
    shape = Shape((16,), "relu", 64, "adamw", Convolutions((4,), 3, "max"))
    assert [len(group) for group in groups([shape] * 3, 5, 192, 10, on_gpu=False)] == [1, 1, 1]
    assert [len(group) for group in groups([shape] * 3, 5, 192, 10, on_gpu=True)] == [1, 1, 1]


def test_shapes_of_a_space_are_counted() -> None:
    def count(*words: str) -> int:
        return shapes(read(["task=cat_species", *words]).space)

    assert count() == 1 + 9 + 9**2 + 9**3
    assert count("model.shape=same") == 1 + 9 + 9 + 9
    assert count("model.nodes=[64,32]") == 1
    assert (
        count("model.layers=2", "model.nodes={low: 10, high: 20, step: 5}", "model.shape={choice: [same, taper]}") == 6
    )
