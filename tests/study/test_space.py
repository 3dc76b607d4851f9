"""Drawing candidates, and the winner as words that run as they are."""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from pipeline.config import reader, sections
from pipeline.config.overrides import ConfigError
from pipeline.config.reader import read_search
from pipeline.config.schema import FinetuneTraining, Search, Training
from pipeline.config.strict_types import SearchField
from pipeline.study import space
from pipeline.study.space import Candidate

CONVOLUTIONS = ("model.backbone=convolutions", "space=convolutions", "model.growth={choice: [double, same, free]}")
BLOCKS = ["model.blocks", "model.channels", "model.growth", "model.kernel", "model.pooling"]
few = settings(max_examples=15, deadline=None)


@cache
def searched(*words: str) -> Search:
    return read_search(["task=cat_species", *words])


def drawn(seed: int, *words: str) -> Candidate:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return space.sample_candidate(searched(*words).space, space.optuna_suggester(study.ask()))


@few
@given(seed=st.integers(0, 1000))
def test_every_draw_lies_in_the_space(seed: int) -> None:
    candidate = drawn(seed)
    assert len(candidate.model.hidden) <= 3
    assert set(candidate.model.hidden) <= {16, 24, 32, 48, 64, 96, 128, 192, 256}
    assert 1e-4 <= candidate.training.learning_rate <= 1e-2


def test_without_hidden_layer_their_fields_are_blank() -> None:
    fields = drawn(0, "model.layers=0").hyperparameters
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
    baseline = space.without_ranges(searched().baseline)
    candidate = drawn(seed)
    again = read_search(["task=cat_species", *candidate.to_overrides(baseline)])
    assert not space.has_ranges(again.space)
    fixed = space.without_ranges(again.space)
    assert (fixed.model, fixed.training) == (candidate.model, candidate.training)


@few
@given(seed=st.integers(0, 1000))
def test_candidate_is_restored_from_its_fields(seed: int) -> None:
    candidate = drawn(seed)
    assert space.from_hyperparameters(candidate.hyperparameters) == candidate


def test_baseline_inside_the_space_is_known_to_the_sampler() -> None:
    search = read_search(["task=cat_species"])
    known = space.to_optuna_params(search.space, space.without_ranges(search.baseline))
    assert known is not None
    assert (known["model.layers"], known["training.learning_rate"]) == (1, 0.001)


def test_baseline_outside_the_space_is_tried_all_the_same() -> None:
    search = read_search(["task=cat_species", "model.layers={low: 2, high: 3}"])
    assert space.to_optuna_params(search.space, space.without_ranges(search.baseline)) is None


def test_drawn_numbers_are_short_enough_to_be_typed() -> None:
    for seed in range(20):
        assert len(repr(drawn(seed).training.learning_rate)) <= 9


@few
@given(seed=st.integers(0, 1000))
def test_convolutional_candidate_is_itself_again_by_its_words_its_fields_and_its_parameters(seed: int) -> None:
    baseline = space.without_ranges(searched(*CONVOLUTIONS).baseline)
    candidate = drawn(seed, *CONVOLUTIONS)
    words = [word for word in candidate.to_overrides(baseline) if not word.startswith("space=")]
    again = space.without_ranges(read_search(["task=cat_species", CONVOLUTIONS[0], "space=none", *words]).space)
    assert (again.model, again.training) == (candidate.model, candidate.training)
    assert space.from_hyperparameters(candidate.hyperparameters) == candidate
    assert space.to_optuna_params(searched(*CONVOLUTIONS).space, candidate) is not None


@pytest.mark.parametrize(("growth", "channels"), [("double", "6-12-24"), ("same", "6-6-6"), ("free", "6-6-6")])
def test_growth_gives_the_channels_as_a_table_shows_them(growth: str, channels: str) -> None:
    fixed = ["model.blocks=3", "model.channels=6", f"model.growth={growth}", "model.pooling=average", "model.kernel=5"]
    fields = drawn(0, "model.backbone=convolutions", *fixed).hyperparameters
    assert [fields[key] for key in BLOCKS] == [3, channels, growth, 5, "average"]


def test_each_block_draws_channels_of_its_own_where_they_are_free() -> None:
    fixed = ["model.blocks=2", "model.channels={low: 1, high: 999}", "model.growth=free"]
    found = [drawn(seed, "model.backbone=convolutions", *fixed).model.convolutions for seed in range(5)]
    assert len({each.channels for each in found if each}) == 5


def test_blocks_have_an_activation_without_any_hidden_layer() -> None:
    candidate = drawn(0, "model.backbone=convolutions", "model.nodes=[]", "model.activation=tanh")
    assert (candidate.model.hidden, candidate.model.activation) == ((), "tanh")
    assert (candidate.hyperparameters["model.activation"], candidate.hyperparameters["model.dropout"]) == ("tanh", "")
    assert space.from_hyperparameters(candidate.hyperparameters) == candidate


def test_other_backbones_draw_and_show_nothing_of_blocks() -> None:
    assert not set(BLOCKS) & (set(drawn(0).hyperparameters) | set(searched().space.settings))


@dataclass(frozen=True)
class LaterTraining(Training):
    """Training as a later release may have it: with one more field, for some heads alone."""

    smoothing: Annotated[float, Field(ge=0, lt=1), SearchField(heads=("softmax", "bands"))] = 0.0


def later(monkeypatch: pytest.MonkeyPatch, smoothing: Any, *words: str) -> Search:
    """A search of a release whose Training has one more field, whose value is `smoothing`."""
    monkeypatch.setitem(sections.SEARCHABLE_CLASSES, "training", (LaterTraining, FinetuneTraining))
    monkeypatch.setattr(space, "Training", LaterTraining)
    compose = reader.compose_config

    def with_field(overrides: Any, config_dir: Any) -> Any:
        config, yaml = compose(overrides, config_dir)
        fixed = not isinstance(smoothing, dict) or all(word.text != "space=none" for word in overrides)
        return config | {"training": config["training"] | ({"smoothing": smoothing} if fixed else {})}, yaml

    monkeypatch.setattr(reader, "compose_config", with_field)
    return read_search(["task=cat_species", *words])


def table_of(search: Search) -> str:
    candidate = space.without_ranges(search.baseline)
    return repr(
        (sorted(search.space.settings.items()), sorted(search.baseline.settings.items()), candidate.hyperparameters)
    )


def test_later_field_at_its_default_changes_no_fingerprint_and_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    before = table_of(searched())
    search = later(monkeypatch, 0.0)
    assert table_of(search) == before
    candidate = space.without_ranges(search.baseline)
    assert candidate.training == LaterTraining(**vars(searched_training()))
    assert space.from_hyperparameters(candidate.hyperparameters) == candidate


def searched_training() -> Training:
    return space.without_ranges(searched().baseline).training


@pytest.mark.parametrize("smoothing", [0.1, {"low": 0.05, "high": 0.2}])
def test_later_field_with_a_value_or_a_range_is_in_all_of_them(monkeypatch: pytest.MonkeyPatch, smoothing: Any) -> None:
    search = later(monkeypatch, smoothing)
    baseline = space.without_ranges(search.baseline)
    expected = 0.0 if isinstance(smoothing, dict) else smoothing
    assert baseline.hyperparameters["training.smoothing"] == expected
    assert "training.smoothing" in search.space.settings
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    candidate = space.sample_candidate(search.space, space.optuna_suggester(study.ask()))
    assert candidate.hyperparameters["training.smoothing"] == vars(candidate.training)["smoothing"] > 0
    assert space.from_hyperparameters(candidate.hyperparameters) == candidate


def test_field_that_is_for_some_heads_is_refused_beside_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as error:
        later(monkeypatch, 0.1, "head=sigmoid")
    rule = "training.smoothing: is for head=softmax or head=bands; got 0.1 for head=sigmoid"
    assert rule in str(error.value)
