"""`head.loss` of a number: loss and gradient are those of torch and scikit-learn, and aim at the right statistic."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss
from torch.nn import functional

from pipeline.config.heads import NumberConfig
from pipeline.config.model import Model
from pipeline.config.overrides import ConfigError
from pipeline.config.reader import read_search
from pipeline.config.schema import Training
from pipeline.models.heads import NumberHead
from pipeline.runtime import seeds
from pipeline.training.engine import AutogradStack, FusedDenseStack, Member, StreamSeeds
from tests.conftest import question, table_examples

TRAINING = Training(1, 16, 0.05, 0.0, "sgd", None, flip=False, shift=0)
HUBER = NumberHead("number", "identity", "huber", "USD")
QUANTILES = [NumberHead("number", "identity", "quantile", "USD", "none", share) for share in (0.1, 0.5, 0.9)]


def outputs_and_targets() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    outputs = 2 * torch.randn(40, 1, generator=generator)
    targets = 2 * torch.randn(40, generator=generator)
    targets[:5] = outputs[:5, 0]  # errors of exactly 0, where the derivative jumps
    return outputs, targets


def test_huber_loss_is_that_of_torch() -> None:
    outputs, targets = outputs_and_targets()
    assert float(HUBER.loss(outputs, targets, TRAINING)) == float(functional.huber_loss(outputs[:, 0], targets))


@pytest.mark.parametrize("head", QUANTILES)
def test_quantile_loss_is_the_pinball_loss_of_scikit_learn(head: NumberHead) -> None:
    outputs, targets = outputs_and_targets()
    expected = mean_pinball_loss(targets.numpy(), outputs[:, 0].numpy(), alpha=head.quantile)
    assert float(head.loss(outputs, targets, TRAINING)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("output", ["relu", "identity"])
@pytest.mark.parametrize("head", [HUBER, *QUANTILES])
def test_gradient_is_that_of_the_loss(head: NumberHead, output: str) -> None:
    head = replace(head, output=output)
    outputs, targets = outputs_and_targets()
    (expected,) = torch.autograd.grad(head.loss(outputs.requires_grad_(), targets, TRAINING), outputs)
    padded = torch.zeros(1, 40, 16)
    padded[0, :, :1] = outputs.detach()
    written = torch.zeros_like(padded)
    head.gradient(padded, head.gradient_targets(targets, TRAINING)[None], written)
    assert torch.allclose(written[0, :, :1], expected, atol=1e-8)
    assert not written[0, :, 1:].any()


@pytest.mark.parametrize("stack_class", [FusedDenseStack, AutogradStack])
@pytest.mark.parametrize("loss", ["huber", "quantile"])
def test_steps_are_those_of_a_plain_loop(stack_class: type, loss: str) -> None:
    config = NumberConfig("number", "identity", loss, "", "sqrt", 0.8 if loss == "quantile" else 0.5)
    asked = question(table_examples(), config, "mean_absolute_error")
    data = asked.fold_data_builder().build_folds(asked.splits)[0]
    member = Member(Model((8,), "relu", 0.0), TRAINING, StreamSeeds(1, 2), data)
    stack = stack_class([member], asked.task.inputs, asked.task.head, "fp32")
    count = asked.task.inputs.feature_count
    plain = torch.nn.Sequential(torch.nn.Linear(count, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    plain.load_state_dict(dict(zip(plain.state_dict(), stack.state_dict(0).values(), strict=True)))
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05)
    for epoch in range(2):
        order = torch.randperm(len(data.train), generator=seeds.make_generator(1, 0, epoch, "order"))
        for rows in data.train[order].split(16):
            error = plain(asked.task.inputs.prepare_batch(data.inputs[rows], data.input_constants))[:, 0]
            error = error - data.targets[rows]
            pinball = torch.maximum(0.2 * error, -0.8 * error).mean()
            loss_value = pinball if loss == "quantile" else functional.huber_loss(error, torch.zeros_like(error))
            optimizer.zero_grad()
            loss_value.backward()
            optimizer.step()
        stack.train_epoch(epoch)
    for ours, expected in zip(stack.state_dict(0).values(), plain.state_dict().values(), strict=True):
        assert torch.allclose(ours, expected, atol=1e-5)


def test_network_without_inputs_that_tell_learns_the_quantile() -> None:
    examples = table_examples(2000)
    examples.targets[:] = np.random.default_rng(0).gamma(2, 3, 2000)
    config = NumberConfig("number", "identity", "quantile", "", "none", 0.9)
    asked = question(examples, config, "mean_absolute_error")
    data = asked.fold_data_builder().build_folds(asked.splits)[0]
    training = replace(TRAINING, learning_rate=0.05, batch_size=64)
    member = Member(Model((), "relu", 0.0), training, StreamSeeds(1, 2), data)
    stack = FusedDenseStack([member], asked.task.inputs, asked.task.head, "fp32")
    for epoch in range(60):
        stack.train_epoch(epoch)
    truth = examples.targets[data.validation.numpy()]
    assert np.mean(truth < stack.validate()[0][:, 0].numpy()) == pytest.approx(0.9, abs=0.08)


def test_refuses_a_quantile_without_its_loss() -> None:
    with pytest.raises(ConfigError) as refused:
        read_search(["task=house_price", "head.quantile=0.9"])
    assert refused.value.lines == ("head.quantile: is for head.loss=quantile; got 0.9 for head.loss=l1",)
    read_search(["task=house_price", "head.quantile=0.9", "head.loss=quantile"])


@pytest.mark.parametrize("share", [0, 1, 1.5])
def test_refuses_a_quantile_outside_of_0_to_1(share: float) -> None:
    with pytest.raises(ConfigError, match=r"head\.quantile: (greater|less) than [01]; got"):
        read_search(["task=house_price", "head.loss=quantile", f"head.quantile={share}"])
