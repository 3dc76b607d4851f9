"""`training.schedule`: the rate of every step is that of torch's schedulers, in cross-validation and in the refit."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, OneCycleLR, SequentialLR

from pipeline.config.heads import SoftmaxConfig
from pipeline.config.model import Model
from pipeline.config.overrides import ConfigError
from pipeline.config.reader import read_search
from pipeline.config.schema import ScheduleName, Training
from pipeline.study.problem import Problem
from pipeline.training.engine import AutogradStack, FusedDenseStack, Member, NetworkStack, StreamSeeds
from pipeline.training.engine.schedule import compute_rate_share
from pipeline.training.fit import cross_validate_trials, refit
from pipeline.training.trials import TrialSpec
from tests.conftest import picture_examples, question
from tests.training.plain_loop import build_plain, train_plain

MODEL = Model((8,), "relu", 0.0)
TRAINING = Training(3, 16, 0.05, 0.01, "sgd", None, flip=False, shift=0)
SCHEDULES: list[tuple[ScheduleName, float]] = [
    ("constant", 0.0),
    ("constant", 0.25),
    ("cosine", 0.0),
    ("cosine", 0.25),
    ("one_cycle", 0.0),
    ("one_cycle", 0.5),
]


@pytest.fixture(scope="module")
def asked() -> Problem:
    return question(picture_examples(), SoftmaxConfig("softmax"), "accuracy")


def torch_scheduler(
    optimizer: torch.optim.Optimizer, schedule: ScheduleName, warmup_ratio: float, total_steps: int
) -> LRScheduler:
    """The scheduler of torch for a schedule; the highest rate is that of the optimizer."""
    rate = float(optimizer.param_groups[0]["lr"])
    if schedule == "one_cycle":
        return OneCycleLR(optimizer, rate, total_steps, pct_start=warmup_ratio or 0.3, cycle_momentum=False)
    warmup_steps = -int(-(warmup_ratio * total_steps) // 1)
    warmup = LinearLR(optimizer, 1 / (warmup_steps + 1), total_iters=warmup_steps)
    if schedule == "constant":
        return warmup
    decay = CosineAnnealingLR(optimizer, total_steps - warmup_steps)
    return SequentialLR(optimizer, [warmup, decay], [warmup_steps])


@given(st.sampled_from(["constant", "cosine", "one_cycle"]), st.floats(0, 0.9), st.integers(2, 60))
@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step")
def test_shares_are_those_of_torch(schedule: ScheduleName, warmup_ratio: float, total_steps: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    try:
        scheduler = torch_scheduler(optimizer, schedule, warmup_ratio, total_steps)
    except ZeroDivisionError:  # OneCycleLR with a warm-up of one step
        return
    training = replace(TRAINING, schedule=schedule, warmup_ratio=warmup_ratio)
    for step in range(total_steps):
        share = compute_rate_share(training, step, total_steps)
        assert share == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6, abs=1e-9)
        optimizer.step()
        if step < total_steps - 1:
            scheduler.step()


def stack_of_all_schedules(asked: Problem, stack_class: type, optimizer: str, ema_decay: float = 0.0) -> NetworkStack:
    """Two members for each schedule, of which the second has fewer training rows and steps."""
    data = asked.fold_data_builder().build_folds(asked.splits)[0]
    fewer = replace(data, train=data.train[:30])
    members = [
        Member(
            MODEL,
            replace(TRAINING, optimizer=optimizer, schedule=schedule, warmup_ratio=warmup_ratio, ema_decay=ema_decay),
            StreamSeeds(1, 2),
            each,
        )
        for schedule, warmup_ratio in SCHEDULES
        for each in (data, fewer)
    ]
    stack: NetworkStack = stack_class(members, asked.task.inputs, asked.task.head, "fp32")
    return stack


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("stack_class", [FusedDenseStack, AutogradStack])
def test_steps_are_those_of_a_plain_loop_with_torch_schedulers(
    asked: Problem, stack_class: type, optimizer: str
) -> None:
    stack = stack_of_all_schedules(asked, stack_class, optimizer)
    first = stack.state_dict(0)
    for epoch in range(TRAINING.epochs):
        stack.train_epoch(epoch)
    for index, member in enumerate(stack.members):
        expected = train_scheduled(asked, member, first)
        for mine, theirs in zip(stack.state_dict(index).values(), expected.values(), strict=True):
            assert torch.allclose(mine, theirs, atol=2e-5 if optimizer == "adamw" else 1e-6)


def train_scheduled(asked: Problem, member: Member, first: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    training = member.training
    plain, optimizer = build_plain(asked, member, first)
    total_steps = training.epochs * -(-len(member.data.train) // training.batch_size)
    scheduler = torch_scheduler(optimizer, training.schedule, training.warmup_ratio, total_steps)
    train_plain(asked, member, plain, optimizer, on_step=scheduler.step)
    return plain.state_dict()


def test_member_is_bitwise_the_same_alone_and_beside_others_that_leave(asked: Problem) -> None:
    together = stack_of_all_schedules(asked, FusedDenseStack, "adamw", ema_decay=0.9)
    kept = [1, 6, 11]
    members = [together.members[index] for index in kept]
    together.train_epoch(0)
    together.retain(kept)
    for epoch in (1, 2):
        together.train_epoch(epoch)
    for index, member in enumerate(members):
        alone = FusedDenseStack([member], asked.task.inputs, asked.task.head, "fp32")
        for epoch in range(TRAINING.epochs):
            alone.train_epoch(epoch)
        for name, weights in alone.state_dict(0).items():
            assert torch.equal(weights, together.state_dict(index)[name])


def test_refit_of_fewer_epochs_has_the_rates_of_the_whole_schedule(asked: Problem) -> None:
    data = asked.fold_data_builder().build_refit_data(asked.splits.development)
    member = Member(MODEL, replace(TRAINING, epochs=4, schedule="cosine"), StreamSeeds(0, 0), data)
    refitted = refit(asked.task, member, 2)
    stack = FusedDenseStack([member], asked.task.inputs, asked.task.head, "fp32")
    for epoch in range(2):
        stack.train_epoch(epoch)
    assert all(torch.equal(refitted[name], weights) for name, weights in stack.state_dict(0).items())
    shorter = refit(asked.task, replace(member, training=replace(member.training, epochs=2)), 2)
    assert not torch.equal(refitted["layers.0.weight"], shorter["layers.0.weight"])


@pytest.mark.parametrize(("schedule", "stop_reason"), [("constant", "patience"), ("cosine", "complete")])
def test_patience_ends_trials_of_a_constant_rate_alone(
    asked: Problem, schedule: ScheduleName, stop_reason: str
) -> None:
    """With a rate of 1e-9 no epoch is better than the first."""
    training = replace(TRAINING, epochs=5, learning_rate=1e-9, patience=2, schedule=schedule)
    folds = asked.fold_data_builder().build_folds(asked.splits)
    spec = TrialSpec(MODEL, training, StreamSeeds(0, 0), lambda _: False)
    (result,) = cross_validate_trials(asked.task, folds, [spec])
    assert (result.stop_reason, result.best_epoch) == (stop_reason, 1)
    assert len(result.epoch_results) == (3 if schedule == "constant" else 5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["training.schedule=cosine", "training.epochs={low: 5, high: 20}"],
            (
                "training.epochs: trials of training.schedule=cosine are pruned at equal shares of it; got a range; "
                "use one number, or pruner=none"
            ),
        ),
        (
            ["training.schedule={choice: [cosine, one_cycle]}", "training.patience=3"],
            "training.patience: training.schedule=cosine or one_cycle trains all epochs; got 3; leave it out",
        ),
        (
            ["training.schedule=cosin"],
            "training.schedule: 'constant', 'cosine' or 'one_cycle'; got 'cosin' (did you mean cosine?)",
        ),
    ],
)
def test_refuses_what_a_schedule_would_ignore_in_one_line(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_search(["task=cat_species", *words])
    assert error.value.lines == (message,)


def test_takes_a_range_of_epochs_without_pruning_and_patience_beside_a_constant_rate() -> None:
    words = ["task=cat_species", "training.patience=3", "training.epochs={low: 5, high: 20}", "pruner=none"]
    settings = read_search([*words, "training.schedule={choice: [constant, cosine]}"]).space.settings
    assert settings["training.patience"] == 3
