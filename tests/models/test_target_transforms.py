"""`head.transform`: the network learns a transformed target, and everything else is in the target's own unit."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.artifact.model_files import load_trained_model
from pipeline.config.heads import NumberConfig
from pipeline.config.metrics import METRICS
from pipeline.config.overrides import ConfigError
from pipeline.config.reader import read_search
from pipeline.config.schema import Training
from pipeline.data.examples import Examples
from pipeline.models import heads
from pipeline.models.heads import NumberHead
from pipeline.runtime.errors import UserError
from tests.conftest import search, table_examples

TRAINING = Training(1, 16, 0.01, 0.0, "adamw", None, flip=False, shift=0)
PRICES = np.random.default_rng(0).lognormal(13, 0.5, 200).astype(np.float32)
LOG = NumberHead("number", "relu", "l1", "USD", "log")
SQRT = NumberHead("number", "relu", "l2", "USD", "sqrt")


def with_smallest_target(value: float) -> Examples:
    examples = table_examples()
    examples.targets[3] = value
    return examples


@pytest.mark.parametrize(("head", "function"), [(LOG, np.log), (SQRT, np.sqrt)])
def test_encoded_targets_are_the_standardized_transform(head: NumberHead, function: np.ufunc) -> None:
    encoded = head.encode_targets(torch.from_numpy(PRICES), head.fit(PRICES)).numpy()
    values = function(PRICES.astype(np.float64))
    assert encoded == pytest.approx((values - values.mean()) / values.std(), abs=1e-4)
    assert head.initial_output_bias(PRICES, head.fit(PRICES)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("head", [LOG, SQRT])
def test_predictions_are_in_the_targets_own_unit(head: NumberHead) -> None:
    constants = head.fit(PRICES)
    encoded = head.encode_targets(torch.from_numpy(PRICES), constants)
    predictions = head.to_predictions(encoded[:, None], constants)
    assert predictions[:, 0].numpy() == pytest.approx(PRICES, rel=1e-5)
    wrong = head.to_predictions(torch.zeros(200, 1), constants)
    error = head.score(METRICS["mean_absolute_error"], wrong, torch.from_numpy(PRICES), constants)
    assert error == pytest.approx(np.abs(wrong[:, 0].numpy() - PRICES).mean(), rel=1e-5)
    assert head.constant_prediction(PRICES, METRICS["mean_absolute_error"]).item() == np.median(PRICES)


@pytest.mark.parametrize("head", [LOG, SQRT])
def test_predictions_stay_near_the_range_of_the_training_targets(head: NumberHead) -> None:
    constants = head.fit(PRICES)
    outputs = torch.tensor([[-math.inf], [-1e4], [0.0], [1e4], [math.inf]])
    lowest, low, _, high, highest = head.to_predictions(outputs, constants)[:, 0].tolist()
    assert lowest == low
    assert high == highest
    function = torch.log if head is LOG else torch.sqrt
    spread = function(torch.from_numpy(PRICES)).std(correction=0).item()
    reached = [function(torch.tensor(value)).item() for value in (low, high)]
    ends = [function(torch.tensor(value)).item() for value in (PRICES.min(), PRICES.max())]
    assert reached == pytest.approx([ends[0] - spread, ends[1] + spread], rel=2e-3)
    assert torch.isnan(head.to_predictions(torch.tensor([[math.nan]]), constants)).all()


def test_square_of_an_output_never_rises_below_zero() -> None:
    counts = np.array([0.0, 1.0, 4.0, 100.0], dtype=np.float32)
    constants = SQRT.fit(counts)
    predictions = SQRT.to_predictions(torch.linspace(-9, 9, 200)[:, None], constants)[:, 0]
    assert predictions.min().item() == pytest.approx(0, abs=1e-9)
    assert (predictions.diff() >= -1e-9).all()


def test_one_repeated_target_is_predicted() -> None:
    same = np.full(5, 250.0, dtype=np.float32)
    constants = LOG.fit(same)
    assert LOG.to_predictions(torch.zeros(2, 1), constants)[:, 0].tolist() == pytest.approx([250, 250])


@pytest.mark.parametrize("head", [LOG, SQRT])
def test_gradient_is_that_of_the_loss(head: NumberHead) -> None:
    outputs = torch.randn(30, 1, generator=torch.Generator().manual_seed(0)).requires_grad_()
    encoded = head.encode_targets(torch.from_numpy(PRICES[:30]), head.fit(PRICES))
    (expected,) = torch.autograd.grad(head.loss(outputs, encoded, TRAINING), outputs)
    written = torch.zeros(1, 30, 16)
    padded = torch.zeros(1, 30, 16)
    padded[0, :, :1] = outputs.detach()
    head.gradient(padded, head.gradient_targets(encoded, TRAINING)[None], written)
    assert torch.allclose(written[0, :, :1], expected, atol=1e-7)
    assert (expected != 0).all()  # no ReLU cuts it


@pytest.mark.parametrize(
    ("transform", "target", "message"),
    [
        ("log", 0, "head.transform=log needs targets above 0; got a target of 0; use head.transform=sqrt"),
        ("log", -2, "above 0; got a target of -2; use head.transform=none and head.output=identity"),
        ("sqrt", -2, "head.transform=sqrt needs targets of at least 0; got a target of -2; use head.transform=none"),
    ],
)
def test_refuses_targets_that_cannot_be_transformed(transform: str, target: float, message: str) -> None:
    with pytest.raises(UserError) as refused:
        heads.build_head(NumberConfig("number", "relu", "l1", "", transform), with_smallest_target(target))
    assert message in str(refused.value)


def test_square_root_takes_a_target_of_zero() -> None:
    config = NumberConfig("number", "relu", "l1", "", "sqrt")
    assert heads.build_head(config, with_smallest_target(0)) == NumberHead("number", "relu", "l1", "", "sqrt")


def test_refuses_a_transform_that_contradicts_the_output() -> None:
    with pytest.raises(ConfigError) as refused:
        read_search(["task=house_price", "head.transform=log", "head.output=identity"])
    rule = "head.output: head.transform=log predicts nothing below 0, as output=relu; got identity"
    assert refused.value.lines == (f"{rule}; use head.output=relu, or head.transform=none",)


def test_refuses_a_misspelt_transform_with_suggestion() -> None:
    with pytest.raises(ConfigError) as refused:
        read_search(["task=house_price", "head.transform=sqr"])
    assert refused.value.lines == ("head.transform: 'none', 'log' or 'sqrt'; got 'sqr' (did you mean sqrt?)",)


def test_heads_written_before_it_have_no_transform(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "mine.yaml").write_text("kind: number\noutput: relu\nloss: l1\nunit: USD\n")
    task = "# @package _global_\ndefaults:\n  - override /dataset: drawn_houses\n  - override /head: mine\n"
    (tmp_path / "task" / "homes.yaml").write_text(f"{task}\nmetric: mean_absolute_error\n")
    assert read_search(["task=homes"], tmp_path).head == NumberConfig("number", "relu", "l1", "USD", "none")


@pytest.mark.parametrize(("transform", "stated"), [("none", {}), ("log", {"transform": "log"})])
def test_file_states_a_transform_that_is_not_the_default(transform: str, stated: dict[str, str], store: Path) -> None:
    words = ["dataset.count=90", "training.epochs=3", "cv.folds=3", "compute=cpu", "budget.trials=2"]
    folder = search(store, "task=house_price", *words, f"head.transform={transform}")
    head = json.loads((folder / "model" / "architecture.json").read_text())["head"]
    assert head == {"kind": "number", "output": "relu", "loss_kind": "l1", "unit": "USD"} | stated
    facts = json.loads((folder / "study.json").read_text())["facts"]
    assert ("transform" in facts["head"]) == bool(stated)
    constants = load_trained_model(folder / "model").target_constants
    assert set(constants) == {"target.shift", "target.scale"} | ({"target.low", "target.high"} if stated else set())
    test = json.loads((folder / "summary.json").read_text())["test"]
    assert test["value"] > 1_000  # in USD
