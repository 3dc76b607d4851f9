"""Drawing candidates, and the winner as words that run as they are."""

from functools import cache

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import space
from pipeline.config.read import read
from pipeline.config.schema import Search
from pipeline.space import Candidate

few = settings(max_examples=15, deadline=None)


@cache
def searched(*words: str) -> Search:
    return read(["task=cat_species", *words])


def drawn(seed: int, *words: str) -> Candidate:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return space.draw(searched(*words).space, space.suggester(study.ask()))


@few
@given(seed=st.integers(0, 1000))
def test_every_draw_lies_in_the_space(seed: int) -> None:
    candidate = drawn(seed)
    assert len(candidate.model.hidden) <= 3
    assert set(candidate.model.hidden) <= {16, 24, 32, 48, 64, 96, 128, 192, 256}
    assert 1e-4 <= candidate.training.learning_rate <= 1e-2


def test_without_hidden_layer_their_fields_are_blank() -> None:
    fields = drawn(0, "model.layers=0").fields
    assert [fields[f"model.{name}"] for name in ("layers", "nodes", "shape", "activation", "dropout")] == [
        0,
        "",
        "",
        "",
        "",
    ]


@pytest.mark.parametrize(("shape", "hidden"), [("same", (64, 64, 64)), ("taper", (64, 32, 16)), ("free", (64, 64, 64))])
def test_shape_gives_the_widths(shape: str, hidden: tuple[int, ...]) -> None:
    assert drawn(0, "model.layers=3", "model.nodes=64", f"model.shape={shape}").model.hidden == hidden


def test_each_layer_draws_a_width_of_its_own() -> None:
    widths = {drawn(seed, "model.layers=2", "model.nodes={low: 1, high: 999}").model.hidden for seed in range(5)}
    assert all(first != second for first, second in widths)
    assert len(widths) == 5


@few
@given(seed=st.integers(0, 1000))
def test_overrides_compose_to_the_candidate_again(seed: int) -> None:
    baseline = space.fixed(searched().baseline)
    candidate = drawn(seed)
    again = read(["task=cat_species", *candidate.overrides(baseline)])
    assert not space.has_ranges(again.space)
    fixed = space.fixed(again.space)
    assert (fixed.model, fixed.training) == (candidate.model, candidate.training)


@few
@given(seed=st.integers(0, 1000))
def test_candidate_is_restored_from_its_fields(seed: int) -> None:
    candidate = drawn(seed)
    assert space.restored(candidate.fields) == candidate


def test_baseline_inside_the_space_is_known_to_the_sampler() -> None:
    search = read(["task=cat_species"])
    known = space.parameters(search.space, space.fixed(search.baseline))
    assert known is not None
    assert (known["model.layers"], known["training.learning_rate"]) == (1, 0.001)


def test_baseline_outside_the_space_is_tried_all_the_same() -> None:
    search = read(["task=cat_species", "model.layers={low: 2, high: 3}"])
    assert space.parameters(search.space, space.fixed(search.baseline)) is None


def test_drawn_numbers_are_short_enough_to_be_typed() -> None:
    for seed in range(20):
        assert len(repr(drawn(seed).training.learning_rate)) <= 9
