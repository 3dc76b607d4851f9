"""`head.balance`: weights, losses and gradients are those of scikit-learn and torch, from the training rows alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from pipeline.artifact.model_files import load_trained_model
from pipeline.config.heads import BandsConfig, HeadConfig, SigmoidConfig, SoftmaxConfig
from pipeline.config.model import Model
from pipeline.config.overrides import ConfigError
from pipeline.config.reader import read_search
from pipeline.config.schema import Training
from pipeline.data.examples import Examples, Images
from pipeline.models.heads import BandsHead, Head, SigmoidHead, SigmoidsHead, SoftmaxHead
from pipeline.models.heads.class_weights import compute_balanced_weights
from pipeline.runtime import seeds
from pipeline.training.engine import AutogradStack, FusedDenseStack, Member, StreamSeeds
from tests.conftest import TINY, picture_examples, question, search, table_examples

TRAINING = Training(2, 16, 0.05, 0.0, "sgd", None, flip=False, shift=0)
CODES = np.array([0, 0, 0, 0, 0, 1, 2, 2])
SOFTMAX = SoftmaxHead("softmax", ("cat", "lion", "iguana"), balance=True)
BANDS = BandsHead("bands", (1.0, 2.0), "years", balance=True)
SIGMOID = SigmoidHead("sigmoid", ("day", "night"), balance=True)
SIGMOIDS = SigmoidsHead("sigmoids", ("cat", "lion", "iguana"), balance=True)


def random_outputs(columns: int) -> torch.Tensor:
    return 3 * torch.randn(len(CODES), columns, generator=torch.Generator().manual_seed(0))


def unbalanced(examples: Examples) -> Examples:
    """Examples of which most have the first class."""
    return examples.take(np.flatnonzero((examples.targets == 0) | (np.arange(len(examples)) % 4 == 0)))


def written_gradient(head: Head, outputs: torch.Tensor, encoded: torch.Tensor, training: Training) -> torch.Tensor:
    """Return the gradient that the fused step takes, in the first columns of padded ones, of which the rest are 0."""
    columns = outputs.shape[1]
    padded = torch.zeros(1, len(outputs), 16)
    padded[0, :, :columns] = outputs
    out = torch.zeros_like(padded)
    head.gradient(padded, head.gradient_targets(encoded, training)[None], out)
    assert not out[0, :, columns:].any()
    return out[0, :, :columns]


def test_weights_are_those_of_scikit_learn() -> None:
    expected = compute_class_weight("balanced", classes=np.arange(3), y=CODES)
    assert compute_balanced_weights(CODES, 3).tolist() == pytest.approx(expected.tolist())
    assert compute_balanced_weights(CODES, 5).tolist() == pytest.approx([*expected.tolist(), 0, 0])
    assert float(compute_balanced_weights(CODES, 3)[torch.from_numpy(CODES)].mean()) == pytest.approx(1)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("head", [SOFTMAX, BANDS])
def test_loss_of_classes_is_that_of_torch_with_weights(head: Head, smoothing: float) -> None:
    targets = CODES if head is SOFTMAX else CODES.astype(np.float32) + 0.5
    training = replace(TRAINING, label_smoothing=smoothing)
    constants = head.fit(targets)
    encoded = head.encode_targets(torch.from_numpy(targets), constants)
    outputs = random_outputs(3).requires_grad_()
    weights = compute_balanced_weights(CODES, 3)
    classes = torch.from_numpy(CODES)
    expected = functional.cross_entropy(outputs, classes, weights, reduction="none").mean()
    if smoothing:  # a row weighs by its class; torch's own mixture of both weighs by the classes it spreads to
        rows = functional.cross_entropy(outputs, classes, reduction="none", label_smoothing=smoothing)
        expected = (weights[classes] * rows).mean()
    (gradient,) = torch.autograd.grad(expected, outputs)
    assert float(head.loss(outputs.detach(), encoded, training)) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert torch.allclose(written_gradient(head, outputs.detach(), encoded, training), gradient, atol=1e-7)


def test_loss_of_two_classes_is_that_of_torch_with_weights() -> None:
    targets = (CODES > 0).astype(np.int64)
    encoded = SIGMOID.encode_targets(torch.from_numpy(targets), SIGMOID.fit(targets))
    outputs = random_outputs(1).requires_grad_()
    labels = torch.from_numpy(targets).float()
    weights = compute_balanced_weights(targets, 2)[torch.from_numpy(targets)]
    expected = functional.binary_cross_entropy_with_logits(outputs[:, 0], labels, weights)
    (gradient,) = torch.autograd.grad(expected, outputs)
    assert float(SIGMOID.loss(outputs.detach(), encoded, TRAINING)) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert torch.allclose(written_gradient(SIGMOID, outputs.detach(), encoded, TRAINING), gradient, atol=1e-7)


def test_loss_of_labels_is_that_of_torch_with_weights_for_each_label() -> None:
    targets = np.stack([CODES == 0, CODES == 1, np.ones(len(CODES), bool)], axis=1).astype(np.float32)
    encoded = SIGMOIDS.encode_targets(torch.from_numpy(targets), SIGMOIDS.fit(targets))
    outputs = random_outputs(3).requires_grad_()
    each = []
    for label, column in enumerate(torch.from_numpy(targets).T):
        if label == 2:  # it always occurs: nothing to balance
            weights = torch.ones(len(CODES))
        else:
            weights = torch.tensor(compute_class_weight("balanced", classes=np.array([0, 1]), y=column.numpy()))[
                column.long()
            ]
        each.append(functional.binary_cross_entropy_with_logits(outputs[:, label], column, weights.float()))
    expected = torch.stack(each).sum()
    (gradient,) = torch.autograd.grad(expected, outputs)
    assert float(SIGMOIDS.loss(outputs.detach(), encoded, TRAINING)) == pytest.approx(
        float(expected.detach()), rel=1e-6
    )
    assert torch.allclose(written_gradient(SIGMOIDS, outputs.detach(), encoded, TRAINING), gradient, atol=1e-7)


@pytest.mark.parametrize("stack_class", [FusedDenseStack, AutogradStack])
@pytest.mark.parametrize(
    "config",
    [SoftmaxConfig("softmax", balance=True), BandsConfig("bands", (20.0, 40.0), "", balance=True)],
)
def test_steps_are_those_of_a_plain_loop(stack_class: type, config: HeadConfig) -> None:
    examples = unbalanced(picture_examples()) if isinstance(config, SoftmaxConfig) else table_examples()
    asked = question(examples, config, "accuracy")
    head = asked.task.head
    data = asked.fold_data_builder().build_folds(asked.splits)[0]
    member = Member(Model((8,), "relu", 0.0), TRAINING, StreamSeeds(1, 2), data)
    stack = stack_class([member], asked.task.inputs, head, "fp32")
    count = asked.task.inputs.feature_count
    plain = torch.nn.Sequential(torch.nn.Linear(count, 8), torch.nn.ReLU(), torch.nn.Linear(8, head.output_count))
    plain.load_state_dict(dict(zip(plain.state_dict(), stack.state_dict(0).values(), strict=True)))
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05)
    classes = torch.from_numpy(examples.targets)
    if isinstance(config, BandsConfig):
        classes = torch.bucketize(classes, torch.tensor(config.edges), right=True)
    weights = compute_balanced_weights(classes[data.train].numpy(), head.output_count)
    for epoch in range(2):
        order = torch.randperm(len(data.train), generator=seeds.make_generator(1, 0, epoch, "order"))
        losses = []
        for rows in data.train[order].split(16):
            inputs = asked.task.inputs.prepare_batch(data.inputs[rows], data.input_constants)
            loss = functional.cross_entropy(plain(inputs), classes[rows], weights, reduction="none").mean()
            losses.append(loss.detach() * len(rows))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        mean_loss = float(stack.train_epoch(epoch)[0])
        assert mean_loss == pytest.approx(float(torch.stack(losses).sum()) / len(data.train), rel=1e-5)
    for ours, expected in zip(stack.state_dict(0).values(), plain.state_dict().values(), strict=True):
        assert torch.allclose(ours, expected, atol=1e-5)


def test_each_fold_has_the_weights_of_its_training_rows() -> None:
    asked = question(unbalanced(picture_examples()), SoftmaxConfig("softmax", balance=True), "accuracy")
    for data in asked.fold_data_builder().build_folds(asked.splits):
        codes = asked.examples.targets[data.train.numpy()]
        expected = compute_class_weight("balanced", classes=np.arange(3), y=codes)
        assert data.target_constants["target.class_weights"].tolist() == pytest.approx(expected.tolist())


def test_rare_class_is_recognized_more_often() -> None:
    """With inputs that tell little the frequent class takes every row, unless a rare one weighs as much."""
    generator = np.random.default_rng(0)
    examples = picture_examples(400, 2)
    examples.targets[:] = generator.random(400) < 0.1
    pixels = generator.integers(0, 240, examples.inputs.pixels.shape) + 6 * examples.targets[:, None, None, None]
    examples = replace(examples, inputs=Images(pixels.astype(np.uint8)))
    found = []
    for balance in (False, True):
        asked = question(examples, SigmoidConfig("sigmoid", balance), "accuracy")
        data = asked.fold_data_builder().build_folds(asked.splits)[0]
        member = Member(Model((), "relu", 0.0), replace(TRAINING, learning_rate=0.01), StreamSeeds(1, 2), data)
        stack = FusedDenseStack([member], asked.task.inputs, asked.task.head, "fp32")
        for epoch in range(3):
            stack.train_epoch(epoch)
        found.append(int((stack.validate()[0][:, 1] > 0.5).sum()))
    assert found[1] > found[0]


def test_refuses_balance_for_a_number() -> None:
    with pytest.raises(ConfigError, match=r"head\.balance: no such key"):
        read_search(["task=house_price", "head.balance=true"])


@pytest.mark.parametrize("balance", [False, True])
def test_file_states_balance_that_is_not_the_default(balance: bool, store: Path) -> None:
    folder = search(store, "task=cat_species", *TINY, "budget.trials=2", f"head.balance={str(balance).lower()}")
    head = json.loads((folder / "model" / "architecture.json").read_text())["head"]
    assert set(head) == {"kind", "classes"} | ({"balance"} if balance else set())
    assert ("balance" in json.loads((folder / "study.json").read_text())["facts"]["head"]) == balance
    constants = load_trained_model(folder / "model").target_constants
    assert set(constants) == ({"target.class_weights"} if balance else set())
