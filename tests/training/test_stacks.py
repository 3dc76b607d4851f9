"""The fused step: bitwise the same in any company, and the fit that autograd makes."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import nn

from pipeline.config.heads import BandsConfig, HeadConfig, NumberConfig, SigmoidConfig, SoftmaxConfig
from pipeline.config.model import Convolutions, Model
from pipeline.config.schema import Training
from pipeline.runtime import seeds
from pipeline.study.problem import Problem
from pipeline.training.engine import (
    AutogradStack,
    FoldData,
    FusedDenseStack,
    Member,
    Precision,
    StreamSeeds,
    build_stack,
)
from pipeline.training.engine.cpu_kernels import best_cpu_kernels, is_onednn_faster
from pipeline.training.engine.epoch_plan import plan_epoch
from pipeline.training.fold_data import FoldDataBuilder
from tests.conftest import picture_examples, question, table_examples

HEADS = (
    (SoftmaxConfig("softmax"), "accuracy"),
    (SigmoidConfig("sigmoid"), "accuracy"),
    (NumberConfig("number", "identity", "l2", ""), "mean_absolute_error"),
    (NumberConfig("number", "relu", "l1", ""), "mean_absolute_error"),
    (BandsConfig("bands", (20.0, 30.0), ""), "accuracy"),
)


def asked(head: HeadConfig, metric: str, rows: int, folds: int) -> Problem:
    classes = {SoftmaxConfig: 3, SigmoidConfig: 2}.get(type(head))
    return question(picture_examples(rows, classes) if classes else table_examples(rows), head, metric, folds)


def folds_of(question_: Problem, lost: tuple[int, ...] = ()) -> list[FoldData]:
    """The first folds lose so many training rows, so that their counts differ."""
    made = FoldDataBuilder(
        question_.examples, question_.task.inputs, question_.task.head, torch.device("cpu")
    ).build_folds(question_.splits)
    for index, count in enumerate(lost[: len(made)]):
        made[index] = replace(made[index], train=made[index].train[count:])
    return made


def members(
    question_: Problem, model: Model, training: Training, lost: tuple[int, ...] = (), trials: int = 1
) -> list[Member]:
    """Those of some trials of one shape, each trained in a way of its own."""
    made = []
    for trial in range(trials):
        own = replace(
            training,
            learning_rate=training.learning_rate * (1 + trial),
            weight_decay=0.1 * trial,
            ema_decay=training.ema_decay if trial % 2 == 0 else 0.0,
            schedule=training.schedule if trial % 2 == 0 else "constant",
            gradient_clip=training.gradient_clip if trial % 2 == 0 else None,
        )
        drops = replace(model, dropout=model.dropout if trial % 2 == 0 else 0.0)
        made += [Member(drops, own, StreamSeeds(1, 2 + trial), data) for data in folds_of(question_, lost)]
    return made


def trained(kind: type, question_: Problem, these: list[Member], precision: Precision = "fp32") -> object:
    stack = kind(these, question_.task.inputs, question_.task.head, precision)
    losses = [stack.train_epoch(epoch) for epoch in range(these[0].training.epochs)]
    return stack, torch.stack(losses)


models = st.builds(
    Model,
    st.lists(st.integers(1, 20), max_size=3).map(tuple),
    st.sampled_from(["relu", "gelu", "tanh"]),
    st.sampled_from([0.0, 0.3]),
)
trainings = st.builds(
    Training,
    st.just(3),
    st.integers(3, 40),
    st.sampled_from([0.001, 0.01]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from(["adamw", "sgd"]),
    st.none(),
    flip=st.just(False),
    shift=st.just(False),
    ema_decay=st.sampled_from([0.0, 0.9]),
    schedule=st.sampled_from(["constant", "cosine", "one_cycle"]),
    warmup_ratio=st.sampled_from([0.0, 0.4]),
    gradient_clip=st.sampled_from([None, 0.1, 1.0]),
)


def case(
    head: tuple[HeadConfig, str],
    model: Model,
    training: Training,
    rows: int,
    folds: int,
    lost: tuple[int, ...],
    trials: int,
) -> tuple[Problem, list[Member]]:
    """A question and the members of some trials that answer it."""
    question_ = asked(*head, rows, folds)
    return question_, members(question_, model, training, lost, trials)


drawn = given(
    st.builds(
        case,
        st.sampled_from(HEADS),
        models,
        trainings,
        st.integers(40, 90),
        st.integers(2, 5),
        st.tuples(*[st.integers(0, 9)] * 5),
        st.integers(1, 3),
    )
)
slow = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@slow
@drawn
def test_member_is_bitwise_the_same_alone_and_in_any_stack(case: tuple[Problem, list[Member]]) -> None:
    question_, everyone = case
    together, losses = trained(FusedDenseStack, question_, everyone)
    answers = together.validate()
    for index, member in enumerate(everyone):
        alone, own = trained(FusedDenseStack, question_, [member])
        assert same(alone.state_dict(0), together.state_dict(index))
        assert torch.equal(own[:, 0], losses[:, index])
        assert torch.equal(alone.validate()[0], answers[index])


@slow
@drawn
def test_members_that_stay_are_bitwise_what_they_would_have_been(case: tuple[Problem, list[Member]]) -> None:
    question_, everyone = case
    whole, losses = trained(FusedDenseStack, question_, everyone)
    fewer, kept = (
        FusedDenseStack(everyone, question_.task.inputs, question_.task.head, "fp32"),
        list(range(len(everyone))),
    )
    for epoch in range(len(losses)):
        assert torch.equal(fewer.train_epoch(epoch), losses[epoch, kept])
        if len(kept) > 1:
            left = kept.pop((7 * epoch + 3) % len(kept))
            fewer.retain([place for place, index in enumerate(sorted([*kept, left])) if index != left])
    for place, index in enumerate(kept):
        assert same(fewer.state_dict(place), whole.state_dict(index))
        assert torch.equal(fewer.validate()[place], whole.validate()[index])


@slow
@drawn
def test_equals_autograd_with_the_optimiser_of_the_library(case: tuple[Problem, list[Member]]) -> None:
    """By plain descent: AdamW makes a whole step of the sign of a gradient, also where that is but a rounding error."""
    question_, members = case
    everyone = [replace(member, training=replace(member.training, optimizer="sgd")) for member in members]
    ours, losses = trained(FusedDenseStack, question_, everyone)
    library, expected = trained(AutogradStack, question_, everyone)
    assert torch.allclose(losses, expected, rtol=1e-3, atol=1e-4)
    for index in range(len(everyone)):
        for name, weights in library.state_dict(index).items():
            assert torch.allclose(weights, ours.state_dict(index)[name], atol=3e-3)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(weights, other[name]) for name, weights in one.items())


@slow
@drawn
def test_in_bf16_members_are_the_same_in_any_stack_and_near_autocast(case: tuple[Problem, list[Member]]) -> None:
    question_, everyone = case
    together, losses = trained(FusedDenseStack, question_, everyone, "bf16")
    _, expected = trained(AutogradStack, question_, everyone, "bf16")
    assert torch.allclose(losses, expected, rtol=0.1, atol=0.02)
    for index, member in enumerate(everyone):
        alone, _ = trained(FusedDenseStack, question_, [member], "bf16")
        assert same(alone.state_dict(0), together.state_dict(index))


def test_flips_and_shifts_are_those_of_autograd() -> None:
    question_ = asked(*HEADS[0], 60, 3)
    training = Training(2, 16, 0.01, 0.0, "adamw", None, flip=True, shift=2)
    everyone = members(question_, Model((8,), "relu", 0.2), training)
    ours, _ = trained(FusedDenseStack, question_, everyone)
    library, _ = trained(AutogradStack, question_, everyone)
    for name, weights in library.state_dict(1).items():
        assert torch.allclose(weights, ours.state_dict(1)[name], atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("kernel", "pooling"), [(3, "max"), (5, "average")])
def test_convolutional_member_is_bitwise_the_same_alone_and_where_others_leave(
    kernel: int, pooling: str, precision: Precision
) -> None:
    question_ = asked(*HEADS[0], 60, 3)
    training = Training(3, 16, 0.01, 0.01, "adamw", None, flip=True, shift=2)
    model = Model((5,), "relu", 0.2, Convolutions((4, 6), kernel, pooling))
    everyone = members(question_, model, training, lost=(0, 3), trials=2)
    together = build_stack(everyone, question_.task.inputs, question_.task.head, precision)
    assert isinstance(together, AutogradStack)
    losses = [together.train_epoch(0)[[1, 4]]]
    together.retain([1, 4])
    losses += [together.train_epoch(epoch) for epoch in (1, 2)]
    for place, index in enumerate((1, 4)):
        alone, own = trained(AutogradStack, question_, [everyone[index]], precision)
        assert same(alone.state_dict(0), together.state_dict(place))
        assert torch.equal(own[:, 0], torch.stack(losses)[:, place])
        assert torch.equal(alone.validate()[0], together.validate()[place])


def test_convolutions_learn_what_a_mean_colour_tells() -> None:
    question_ = asked(*HEADS[0], 90, 3)
    training = Training(12, 8, 0.01, 0.01, "adamw", None, flip=False, shift=0)
    everyone = members(question_, Model((), "relu", 0.0, Convolutions((4,), 3, "max")), training)
    networks, losses = trained(AutogradStack, question_, everyone)
    assert bool((losses[-1] < losses[0]).all())
    for member, answers in zip(everyone, networks.validate(), strict=True):
        truth = member.data.targets[member.data.validation]
        assert float((answers.argmax(1) == truth).float().mean()) > 0.8


def test_what_is_judged_is_the_mean_of_the_first_steps() -> None:
    """Of few steps all weigh the same."""
    question_ = asked(*HEADS[0], 60, 3)
    training = Training(1, 16, 0.01, 0.0, "adamw", None, flip=False, shift=0)
    member = members(question_, Model((), "relu", 0.0, Convolutions((4,), 3, "max")), training)[:1]
    loop, seen = AutogradStack(member, question_.task.inputs, question_.task.head, "fp32"), []
    loop.train_epoch(0, lambda: seen.append(loop.training_state(0)["network.dense.layers.0.weight"]))
    assert len(seen) == 2
    assert torch.allclose(loop.state_dict(0)["dense.layers.0.weight"], torch.stack(seen).mean(0), atol=1e-6)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(1, 20))
def test_plan_takes_every_row_of_every_member_once_and_in_order(counts: list[int], batch_size: int) -> None:
    counts = sorted(counts, reverse=True)
    blocks = plan_epoch(counts, batch_size)
    for member, count in enumerate(counts):
        rows = [
            row
            for block in blocks
            if block.first_slot <= member < block.end_slot
            for row in range(block.first_row, block.first_row + block.steps * block.batch_size)
        ]
        assert rows == list(range(count))
        sizes = Counter(block.batch_size for block in blocks if block.first_slot <= member < block.end_slot)
        assert max(sizes) <= batch_size


@pytest.mark.skipif(not is_onednn_faster(), reason="MKL is used here")
def test_products_of_onednn_are_in_float32() -> None:
    left, right = torch.randn(64, 4096), torch.randn(4096, 512)
    exact = left.double() @ right.double()
    with best_cpu_kernels([torch.zeros(1, 1024, 1024)], 64):
        error = (left @ right - exact).abs().max() / exact.abs().max()
    assert float(error) < 5e-6
    assert torch.backends.mkldnn.matmul.fp32_precision != "bf16"


def test_small_networks_have_one_thread_and_large_ones_all() -> None:
    before = torch.get_num_threads()
    with best_cpu_kernels([torch.zeros(5, 16, 64)], 64):
        assert torch.get_num_threads() == 1
    with best_cpu_kernels([torch.zeros(5, 256, 512)], 64):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


def test_digits_have_as_many_right_answers_as_a_plain_loop() -> None:
    """Real digits, 5 folds, 10 epochs: in every fold the count of right answers of plain `nn.Linear` and AdamW."""
    pixels, digits = load_digits(return_X_y=True)
    examples = table_examples(len(digits))
    table = replace(
        examples.inputs,
        numbers=pixels.astype("float32"),
        number_names=tuple(map(str, range(64))),
        codes=examples.inputs.codes[:, :0],
        category_names=(),
        levels=(),
    )
    examples = replace(examples, inputs=table, targets=digits, target_kind="classes", classes=tuple("0123456789"))
    question_ = question(examples.with_fingerprint(), *HEADS[0], 5)
    training, model = Training(10, 64, 0.001, 0.01, "adamw", None, flip=False, shift=0), Model((32, 16), "relu", 0.0)
    everyone = [Member(model, training, StreamSeeds(1, 2), data) for data in folds_of(question_)]
    ours, _ = trained(FusedDenseStack, question_, everyone)
    for fold, (member, answers) in enumerate(zip(ours.members, ours.validate(), strict=True)):
        plain = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10))
        first = FusedDenseStack([member], question_.task.inputs, question_.task.head, "fp32").state_dict(0)
        plain.load_state_dict(dict(zip(plain.state_dict(), first.values(), strict=True)))
        optimizer = torch.optim.AdamW(plain.parameters(), lr=0.001, weight_decay=0.01)
        data = member.data
        for epoch in range(10):
            order = torch.randperm(len(data.train), generator=seeds.make_generator(1, fold, epoch, "order"))
            for rows in data.train[order].split(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(plain(data.inputs[rows]), data.targets[rows]).backward()
                optimizer.step()
        truth = data.targets[data.validation]
        right = int((plain(data.inputs[data.validation]).argmax(1) == truth).sum())
        assert int((answers.argmax(1) == truth).sum()) == right
        assert right > 0.85 * len(truth)
