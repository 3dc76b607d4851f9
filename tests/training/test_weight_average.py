"""`training.ema_decay`: the running mean of the weights is torch's, it predicts, and each member has its own."""

from dataclasses import replace

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline.config.heads import SoftmaxConfig
from pipeline.config.model import Convolutions, Model
from pipeline.config.overrides import ConfigError
from pipeline.config.reader import read_search
from pipeline.config.schema import Training
from pipeline.study.problem import Problem
from pipeline.training.engine import AutogradStack, FusedDenseStack, Member, NetworkStack, StreamSeeds
from pipeline.training.engine.weight_average import compute_ema_weight, resolve_ema_decay
from pipeline.training.fit import cross_validate_trials, refit
from pipeline.training.trials import TrialSpec
from tests.conftest import picture_examples, question
from tests.training.plain_loop import build_plain, train_plain

MODEL = Model((8,), "relu", 0.0)
TRAINING = Training(3, 16, 0.05, 0.0, "sgd", None, flip=False, shift=0)
DECAYS = (0.0, 0.5, 0.999)


@pytest.fixture(scope="module")
def asked() -> Problem:
    return question(picture_examples(), SoftmaxConfig("softmax"), "accuracy")


def trained(asked: Problem, stack_class: type[FusedDenseStack | AutogradStack]) -> NetworkStack:
    """A stack of one member for each of `DECAYS`, after its epochs."""
    data = asked.fold_data_builder().build_folds(asked.splits)[0]
    members = [Member(MODEL, replace(TRAINING, ema_decay=decay), StreamSeeds(1, 2), data) for decay in DECAYS]
    stack = stack_class(members, asked.task.inputs, asked.task.head, "fp32")
    for epoch in range(TRAINING.epochs):
        stack.train_epoch(epoch)
    return stack


def averages_of_plain_loop(
    asked: Problem, member: Member, first: dict[str, torch.Tensor]
) -> list[dict[str, torch.Tensor]]:
    """The latest weights, torch's EMA with a decay of 0.5, and torch's equal mean of all steps."""
    plain, optimizer = build_plain(asked, member, first)
    averages = [AveragedModel(plain, multi_avg_fn=get_ema_multi_avg_fn(0.5)), AveragedModel(plain)]
    train_plain(
        asked, member, plain, optimizer, on_step=lambda: [average.update_parameters(plain) for average in averages]
    )
    return [plain.state_dict(), *(average.module.state_dict() for average in averages)]


@pytest.mark.parametrize("stack_class", [FusedDenseStack, AutogradStack])
def test_means_are_those_of_torch_side_by_side(asked: Problem, stack_class: type) -> None:
    """A large decay weighs the first steps equally, as `AveragedModel`; one of 0.5 is torch's EMA from the start."""
    stack = trained(asked, stack_class)
    first = stack_class(stack.members[:1], asked.task.inputs, asked.task.head, "fp32").state_dict(0)
    for index, expected in enumerate(averages_of_plain_loop(asked, stack.members[0], first)):
        for mine, theirs in zip(stack.state_dict(index).values(), expected.values(), strict=True):
            assert torch.allclose(mine, theirs, atol=1e-6)


@pytest.mark.parametrize("stack_class", [FusedDenseStack, AutogradStack])
def test_mean_predicts_and_the_latest_weights_train(asked: Problem, stack_class: type) -> None:
    stack = trained(asked, stack_class)
    assert len({float(predictions.sum()) for predictions in map(torch.Tensor.square, stack.validate())}) == len(DECAYS)
    data = stack.members[2].data
    weights = list(stack.state_dict(2).values())
    inputs = asked.task.inputs.prepare_batch(data.inputs[data.validation], data.input_constants)
    outputs = (inputs @ weights[0].T + weights[1]).relu() @ weights[2].T + weights[3]
    assert torch.allclose(stack.validate()[2], outputs.softmax(1), atol=1e-6)
    losses = stack.train_epoch(TRAINING.epochs)
    assert torch.allclose(losses, losses[0].expand(3))


def test_initial_network_is_its_own_mean(asked: Problem) -> None:
    data = asked.fold_data_builder().build_folds(asked.splits)[0]
    members = [Member(MODEL, replace(TRAINING, ema_decay=decay), StreamSeeds(1, 2), data) for decay in (0.0, 0.9)]
    stack = FusedDenseStack(members, asked.task.inputs, asked.task.head, "fp32")
    for latest, mean in zip(stack.state_dict(0).values(), stack.state_dict(1).values(), strict=True):
        assert torch.equal(latest, mean)


def test_kept_fold_weights_and_refit_are_means(asked: Problem) -> None:
    """With a rate of 100 the latest weights are far from any mean of them."""
    training = replace(TRAINING, epochs=1, learning_rate=100.0, ema_decay=0.999)
    builder = asked.fold_data_builder()
    folds = builder.build_folds(asked.splits)
    means, latest = (
        cross_validate_trials(asked.task, folds, [TrialSpec(MODEL, each, StreamSeeds(0, 0), lambda _: False)])[0]
        for each in (training, replace(training, ema_decay=0.0))
    )
    norms = [float(each.fold_weights[0]["layers.1.weight"].norm()) for each in (means, latest)]
    assert norms[0] < norms[1]
    member = Member(MODEL, training, StreamSeeds(0, 0), builder.build_refit_data(asked.splits.development))
    plain = replace(member, training=replace(training, ema_decay=0.0))
    norms = [float(refit(asked.task, each, 1)["layers.1.weight"].norm()) for each in (member, plain)]
    assert norms[0] < norms[1]


def test_weight_of_a_step_is_that_of_an_equal_mean_until_the_decay_is_smaller() -> None:
    assert [compute_ema_weight(0.75, step) for step in (1, 2, 4, 5, 100)] == [1, 0.5, 0.25, 0.25, 0.25]


def test_convolutions_have_a_mean_by_default(asked: Problem) -> None:
    data = asked.fold_data_builder().build_folds(asked.splits)[0]
    blocks = replace(MODEL, convolutions=Convolutions((4,), 3, "max"))
    decays = [
        resolve_ema_decay(Member(model, replace(TRAINING, ema_decay=decay), StreamSeeds(1, 2), data))
        for model in (MODEL, blocks)
        for decay in (0.0, 0.9)
    ]
    assert decays == [0.0, 0.9, 0.98, 0.9]


def test_refuses_a_decay_of_one() -> None:
    with pytest.raises(ConfigError) as error:
        read_search(["task=cat_species", "training.ema_decay=1.0"])
    assert error.value.lines == ("training.ema_decay: less than 1; got 1.0",)
