"""The engine: members do not touch one another, and each is the fit that plain PyTorch makes."""

import pytest
import torch

from pipeline.config.heads import NumberConfig, SoftmaxConfig
from pipeline.config.metrics import METRICS
from pipeline.config.model import Model
from pipeline.config.schema import Training
from pipeline.runtime import seeds
from pipeline.study.problem import Problem
from pipeline.training.engine import Member, NetworkStack, StreamSeeds
from pipeline.training.engine import build_stack as build
from tests.conftest import picture_examples, question, table_examples

TRAINING = Training(3, 16, 0.01, 0.01, "adamw", None, flip=False, shift=0)


def asked() -> Problem:
    return question(picture_examples(), SoftmaxConfig("softmax"), "accuracy")


def stack(
    asked: Problem, folds: slice = slice(None), model: Model | None = None, training: Training = TRAINING
) -> NetworkStack:
    preparation = asked.fold_data_builder()
    chosen = model or Model((8,), "relu", 0.2)
    members = [
        Member(chosen, training, StreamSeeds(1, 2), data) for data in preparation.build_folds(asked.splits)[folds]
    ]
    return build(members, asked.task.inputs, asked.task.head, "fp32")


def trained(stack: NetworkStack, epochs: int = 3) -> NetworkStack:
    for epoch in range(epochs):
        stack.train_epoch(epoch)
    return stack


def test_member_is_bitwise_the_same_alone_and_beside_others() -> None:
    together, alone = trained(stack(asked())), trained(stack(asked(), slice(1, 2)))
    for name, weights in alone.state_dict(0).items():
        assert torch.equal(weights, together.state_dict(1)[name])


def test_same_seeds_same_weights_whatever_else_draws() -> None:
    first = trained(stack(asked()))
    torch.rand(10)
    second = trained(stack(asked()))
    assert all(torch.equal(first.state_dict(0)[name], weights) for name, weights in second.state_dict(0).items())


def test_folds_start_from_different_weights() -> None:
    networks = stack(asked())
    assert not torch.equal(networks.state_dict(0)["layers.0.weight"], networks.state_dict(1)["layers.0.weight"])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_equals_a_plain_loop_of_the_library(optimizer: str) -> None:
    question_ = asked()
    training = Training(2, 16, 0.01, 0.1, optimizer, None, flip=False, shift=0)
    ours = stack(question_, slice(0, 1), Model((8,), "relu", 0.0), training)
    data = ours.members[0].data
    plain = torch.nn.Sequential(torch.nn.Linear(192, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    plain.load_state_dict(dict(zip(plain.state_dict(), ours.state_dict(0).values(), strict=True)))
    kind = torch.optim.AdamW if optimizer == "adamw" else torch.optim.SGD
    steps = kind(plain.parameters(), lr=0.01, weight_decay=0.1)
    for epoch in range(2):
        order = torch.randperm(len(data.train), generator=seeds.make_generator(1, 0, epoch, "order"))
        for rows in data.train[order].split(16):
            loss = torch.nn.functional.cross_entropy(
                plain(question_.task.inputs.prepare_batch(data.inputs[rows], data.input_constants)), data.targets[rows]
            )
            steps.zero_grad()
            loss.backward()
            steps.step()
        ours.train_epoch(epoch)
    for weights, expected in zip(ours.state_dict(0).values(), plain.state_dict().values(), strict=True):
        assert torch.allclose(weights, expected, atol=1e-6)


def test_training_rows_alone_train() -> None:
    """A change in a fold's validation rows leaves its weights bit for bit as they were."""
    first = asked()
    held_out = first.splits.folds[0].validation
    changed = first.examples.inputs.pixels.copy()
    changed[held_out] = 255 - changed[held_out]
    first.examples.inputs.pixels.setflags(write=True)
    before = trained(stack(first, slice(0, 1))).state_dict(0)
    first.examples.inputs.pixels[:] = changed
    after = trained(stack(first, slice(0, 1))).state_dict(0)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_table_learns_a_sum_by_linear_regression() -> None:
    question_ = question(table_examples(400), NumberConfig("number", "identity", "l2", ""), "mean_absolute_error")
    training = Training(60, 32, 0.03, 0.0, "adamw", None, flip=False, shift=0)
    networks = trained(stack(question_, slice(0, 1), Model((), "relu", 0.0), training), 60)
    data, answers = networks.members[0].data, networks.validate()[0]
    truth = torch.from_numpy(question_.examples.targets)[data.validation]
    error = question_.task.head.score(METRICS["mean_absolute_error"], answers, truth, data.target_constants)
    assert error < 0.25 * float(truth.std())
