"""`training.label_smoothing`: loss, gradient and steps are those of torch, and it is searched like any other field."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline.config.heads import BandsConfig, HeadConfig, SoftmaxConfig
from pipeline.config.model import Model
from pipeline.config.overrides import ConfigError
from pipeline.config.reader import read_search
from pipeline.config.schema import Training
from pipeline.models.heads import BandsHead, Head, SoftmaxHead
from pipeline.runtime import seeds
from pipeline.training.engine import AutogradStack, FusedDenseStack, Member, StreamSeeds
from tests.conftest import TINY, picture_examples, question, search, table_examples

TRAINING = Training(2, 16, 0.05, 0.0, "sgd", None, flip=False, shift=0, label_smoothing=0.15)
HEADS = [SoftmaxHead("softmax", ("cat", "lion", "iguana")), BandsHead("bands", (1.0, 3.0), "years")]


def outputs_and_classes() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(7, 3, generator=generator, dtype=torch.float64), torch.arange(7) % 3


@pytest.mark.parametrize("smoothing", [0.0, 0.15, 0.9])
@pytest.mark.parametrize("head", HEADS)
def test_loss_and_gradient_are_those_of_torch(head: Head, smoothing: float) -> None:
    outputs, classes = outputs_and_classes()
    training = replace(TRAINING, label_smoothing=smoothing)
    loss = cross_entropy(outputs.requires_grad_(), classes, label_smoothing=smoothing)
    (gradient,) = torch.autograd.grad(loss, outputs)
    outputs, expected = outputs.detach(), float(loss.detach())
    assert float(head.loss(outputs, classes, training)) == pytest.approx(expected, rel=1e-12)
    padded = torch.zeros(1, 7, 16)
    padded[0, :, :3] = outputs
    written = torch.full_like(padded, 9.0)
    head.gradient(padded, head.gradient_targets(classes, training)[None], written)
    assert torch.allclose(written[0, :, :3], gradient.float(), atol=1e-6)
    assert not written[0, :, 3:].any()
    assert float(head.loss(padded[0], classes, training)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_metrics_are_not_smoothed(head: Head) -> None:
    outputs, classes = outputs_and_classes()
    targets = classes if isinstance(head, SoftmaxHead) else torch.tensor([0.0, 2.0, 4.0])[classes]
    constants = {"target.centres": torch.tensor([0.0, 2.0, 4.0])}
    scores = head.score_all(outputs.float().softmax(1), targets, constants)
    assert scores["cross_entropy"] == pytest.approx(float(cross_entropy(outputs, classes)), rel=1e-5)


@pytest.mark.parametrize("stack_class", [FusedDenseStack, AutogradStack])
@pytest.mark.parametrize("config", [SoftmaxConfig("softmax"), BandsConfig("bands", (20.0, 30.0), "")])
def test_steps_are_those_of_a_plain_loop(stack_class: type, config: HeadConfig) -> None:
    """In one stack with a member whose targets are not smoothed."""
    examples = picture_examples() if isinstance(config, SoftmaxConfig) else table_examples()
    asked = question(examples, config, "accuracy")
    data = asked.fold_data_builder().build_folds(asked.splits)[0]
    model = Model((8,), "relu", 0.0)
    trainings = [replace(TRAINING, label_smoothing=0.0), TRAINING]
    members = [Member(model, training, StreamSeeds(1, 2), data) for training in trainings]
    stack = stack_class(members, asked.task.inputs, asked.task.head, "fp32")
    plain = torch.nn.Sequential(
        torch.nn.Linear(asked.task.inputs.feature_count, 8),
        torch.nn.ReLU(),
        torch.nn.Linear(8, asked.task.head.output_count),
    )
    plain.load_state_dict(dict(zip(plain.state_dict(), stack.state_dict(1).values(), strict=True)))
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05)
    for epoch in range(2):
        order = torch.randperm(len(data.train), generator=seeds.make_generator(1, 0, epoch, "order"))
        losses = []
        for rows in data.train[order].split(16):
            inputs = asked.task.inputs.prepare_batch(data.inputs[rows], data.input_constants)
            loss = cross_entropy(plain(inputs), data.targets[rows], label_smoothing=0.15)
            losses += [loss.detach() * len(rows)]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        reported = stack.train_epoch(epoch)
        assert float(reported[1]) == pytest.approx(float(torch.stack(losses).sum()) / len(data.train), rel=1e-4)
        assert reported[0] != reported[1]
    for weights, expected in zip(stack.state_dict(1).values(), plain.state_dict().values(), strict=True):
        assert torch.allclose(weights, expected, atol=1e-5)


def test_is_searched_by_a_range_and_absent_at_its_default(store: Path, tmp_path: Path) -> None:
    words = ["task=cat_species", *TINY, "sampler=random", "budget.trials=3"]
    folder = search(store, *words, "training.label_smoothing={low: 0.0, high: 0.2}")
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    values = [float(row["training.label_smoothing"]) for row in rows]
    assert values[0] == 0
    assert all(0 < value <= 0.2 for value in values[1:])
    assert len(set(values)) == 3
    plain = search(store, *words)
    table = (plain / "trials.csv").read_text()
    assert "label_smoothing" not in table
    typed = search(tmp_path / "other", *words, "training.label_smoothing=0.0")
    assert typed.name == plain.name
    assert (typed / "trials.csv").read_text() == table


def test_fixed_value_is_that_of_every_trial() -> None:
    settings = read_search(["task=cat_age_bands", "training.label_smoothing=0.1"])
    assert settings.space.settings["training.label_smoothing"] == 0.1
    assert settings.baseline.settings["training.label_smoothing"] == 0.1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["task=house_price", "training.label_smoothing=0.1"],
            "training.label_smoothing: is for head=softmax or head=bands; got 0.1 for head=number",
        ),
        (["task=cat_species", "training.label_smoothing=1"], "training.label_smoothing: less than 1; got 1"),
    ],
)
def test_refuses_other_heads_and_values_in_one_line(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_search(words)
    assert error.value.lines == (message,)
