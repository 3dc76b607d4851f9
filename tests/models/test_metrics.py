"""Metrics: each is scikit-learn's function, is finite on any rows, and says what it is and whom it is for."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics

from pipeline.config.metrics import METRICS
from pipeline.config.overrides import ConfigError
from pipeline.config.reader import read_search
from pipeline.models.heads import NumberHead, SigmoidHead, SoftmaxHead
from pipeline.runtime.errors import UserError
from tests.conftest import TINY, search

Arrays = tuple[np.ndarray, np.ndarray]


def random_classes(seed: int, classes: int) -> Arrays:
    """Return probabilities, of which many are equal, and classes that go with them."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(classes, 90, p=generator.dirichlet(np.full(classes, 3.0)))
    truth[:classes] = range(classes)
    logits = generator.integers(-2, 3, (90, classes)) + 1.5 * np.eye(classes)[truth]
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)), truth


def random_labels(seed: int) -> Arrays:
    generator = np.random.default_rng(seed)
    truth = (generator.random((90, 4)) < generator.uniform(0.1, 0.9, 4)).astype(np.int64)
    return np.round(0.3 * truth + 0.7 * generator.random(truth.shape), 1), truth


def random_numbers(seed: int) -> Arrays:
    generator = np.random.default_rng(seed)
    truth = generator.lognormal(12, 1, 90)
    return truth * generator.lognormal(0, 0.3, 90), truth


def score(metric: str, kind: str, predictions: np.ndarray, truth: np.ndarray) -> float:
    return METRICS[metric].scorers[kind](torch.from_numpy(predictions), torch.from_numpy(truth))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("accuracy", lambda truth, p: sklearn_metrics.accuracy_score(truth, p.argmax(1))),
        ("balanced_accuracy", lambda truth, p: sklearn_metrics.balanced_accuracy_score(truth, p.argmax(1))),
        ("f1_macro", lambda truth, p: sklearn_metrics.f1_score(truth, p.argmax(1), average="macro")),
        ("log_loss", sklearn_metrics.log_loss),
        (
            "roc_auc",
            lambda truth, p: sklearn_metrics.roc_auc_score(truth, p[:, 1] if p.shape[1] == 2 else p, multi_class="ovr"),
        ),
        (
            "average_precision",
            lambda truth, p: (
                sklearn_metrics.average_precision_score(truth, p[:, 1])
                if p.shape[1] == 2
                else sklearn_metrics.average_precision_score(np.eye(p.shape[1])[truth], p)
            ),
        ),
    ],
)
def test_metrics_of_classes_are_those_of_scikit_learn(
    metric: str, reference: Callable[..., float], classes: int, seed: int
) -> None:
    probabilities, truth = random_classes(seed, classes)
    assert score(metric, "classes", probabilities, truth) == pytest.approx(reference(truth, probabilities), rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_f1_is_that_of_the_second_class(seed: int) -> None:
    probabilities, truth = random_classes(seed, 2)
    expected = sklearn_metrics.f1_score(truth, probabilities.argmax(1), pos_label=1)
    assert score("f1", "classes", probabilities, truth) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_quadratic_kappa_is_that_of_scikit_learn(seed: int) -> None:
    probabilities, truth = random_classes(seed, 6)
    expected = sklearn_metrics.cohen_kappa_score(truth, probabilities.argmax(1), weights="quadratic")
    assert score("quadratic_kappa", "bands", probabilities, truth) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("accuracy", lambda truth, p: sklearn_metrics.accuracy_score(truth, p > 0.5)),
        ("f1_macro", lambda truth, p: sklearn_metrics.f1_score(truth, p > 0.5, average="macro")),
        ("roc_auc", sklearn_metrics.roc_auc_score),
        ("average_precision", sklearn_metrics.average_precision_score),
    ],
)
def test_metrics_of_labels_are_those_of_scikit_learn(metric: str, reference: Callable[..., float], seed: int) -> None:
    probabilities, truth = random_labels(seed)
    assert score(metric, "labels", probabilities, truth) == pytest.approx(reference(truth, probabilities), rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("mean_absolute_error", sklearn_metrics.mean_absolute_error),
        ("root_mean_squared_error", sklearn_metrics.root_mean_squared_error),
        ("mean_absolute_percentage_error", sklearn_metrics.mean_absolute_percentage_error),
        ("r2", sklearn_metrics.r2_score),
    ],
)
def test_metrics_of_numbers_are_those_of_scikit_learn(metric: str, reference: Callable[..., float], seed: int) -> None:
    predicted, truth = random_numbers(seed)
    assert score(metric, "numbers", predicted, truth) == pytest.approx(reference(truth, predicted), rel=1e-12)


def test_every_metric_is_held_against_scikit_learn() -> None:
    text = Path(__file__).read_text()
    assert [name for name in METRICS if f'"{name}"' not in text] == []


@pytest.mark.parametrize("name", METRICS)
def test_perfect_predictions_have_the_perfect_value(name: str) -> None:
    metric = METRICS[name]
    truth = np.array([0, 1, 1, 0, 1])
    perfect = {
        "classes": (np.eye(2)[truth], truth),
        "bands": (np.eye(3)[truth], truth),
        "labels": (np.eye(2)[truth], np.eye(2, dtype=np.int64)[truth]),
        "numbers": (truth + 2.0, truth + 2.0),
    }
    for kind in metric.scorers:
        assert score(name, kind, *perfect[kind]) == pytest.approx(metric.perfect_value, abs=1e-12)


@pytest.mark.parametrize(
    ("metric", "kind", "truth", "expected"),
    [
        ("roc_auc", "classes", [1, 1, 1, 1], 0.5),
        ("roc_auc", "classes", [0, 0, 0, 0], 0.5),
        ("average_precision", "classes", [0, 0, 0, 0], 0),
        ("average_precision", "classes", [1, 1, 1, 1], 1),
        ("balanced_accuracy", "classes", [1, 1, 1, 1], 0.75),
        ("f1", "classes", [0, 0, 0, 0], 0),
        ("log_loss", "classes", [1, 1, 1, 1], -math.log(0.8) * 0.75 - math.log(0.2) * 0.25),
        ("quadratic_kappa", "bands", [1, 1, 1, 1], 0),
        ("roc_auc", "labels", [[1, 0], [1, 0], [1, 0], [1, 0]], 0.5),
        ("roc_auc", "labels", [[1, 0], [1, 1], [1, 1], [1, 1]], 1),
        ("average_precision", "labels", [[1, 0], [1, 0], [1, 0], [1, 0]], 0.5),
        ("r2", "numbers", [3, 3, 3, 3], 0),
        ("r2", "numbers", [3], 0),
        ("mean_absolute_percentage_error", "numbers", [4], 0.75),
    ],
)
def test_rows_of_one_class_have_a_defined_score(
    metric: str, kind: str, truth: list[int] | list[list[int]], expected: float
) -> None:
    targets = np.array(truth)
    probabilities = np.array([[0.8, 0.2], [0.2, 0.8], [0.2, 0.8], [0.2, 0.8]])
    predictions = np.ones(len(targets)) if kind == "numbers" else probabilities
    targets = targets.astype(np.float64) if kind == "numbers" else targets
    assert score(metric, kind, predictions, targets) == pytest.approx(expected)


def test_certain_and_wrong_predictions_have_a_finite_log_loss() -> None:
    assert score("log_loss", "classes", np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(23 * math.log(2))


@pytest.mark.parametrize(
    ("metric", "line"),
    [
        (
            "log_loss",
            "log loss, the mean negative logarithm of the probability of the correct class (lower is better)",
        ),
        ("root_mean_squared_error", "root mean squared error in USD (lower is better)"),
        (
            "mean_absolute_percentage_error",
            "mean absolute percentage error, as a share of the target (lower is better)",
        ),
        ("r2", "R², the share of the variance that is explained (higher is better)"),
    ],
)
def test_metrics_describe_themselves(metric: str, line: str) -> None:
    assert METRICS[metric].describe("USD") == line


@pytest.mark.parametrize(("metric", "text"), [("r2", "-0.250"), ("log_loss", "1.875"), ("quadratic_kappa", "0.500")])
def test_scores_outside_of_0_to_1_are_formatted_and_compared(metric: str, text: str) -> None:
    value = float(text)
    assert METRICS[metric].format(value) == text
    assert METRICS[metric].is_better(METRICS[metric].perfect_value, value)
    assert METRICS[metric].improvement(value, METRICS[metric].perfect_value) < 0


def test_refuses_f1_for_three_classes() -> None:
    head = SoftmaxHead("softmax", ("a", "b", "c"))
    message = "metric=f1 is for exactly two classes; got 3; use metric=f1_macro"
    with pytest.raises(UserError, match=message):
        head.require_scorable(METRICS["f1"], np.array([0, 1, 2]))
    SigmoidHead("sigmoid", ("no", "yes")).require_scorable(METRICS["f1"], np.array([0, 1, 0]))
    assert "f1" not in head.score_all(torch.eye(3), torch.arange(3), {})


def test_refuses_percentages_of_zero() -> None:
    head = NumberHead("number", "relu", "l1", "")
    targets = np.array([0.0, 1.0], dtype=np.float32)
    rule = "metric=mean_absolute_percentage_error is for targets other than 0; got a target of 0"
    with pytest.raises(UserError, match=f"{rule}; use metric=mean_absolute_error"):
        head.require_scorable(METRICS["mean_absolute_percentage_error"], targets)
    scores = head.score_all(torch.ones(2, 1), torch.from_numpy(targets), {})
    assert set(scores) == {"mean_absolute_error", "root_mean_squared_error", "r2"}


def test_refuses_kappa_without_an_order_of_the_classes() -> None:
    with pytest.raises(ConfigError) as refused:
        read_search(["task=cat_species", "metric=quadratic_kappa"])
    allowed = "accuracy, balanced_accuracy, f1, f1_macro, roc_auc, average_precision or log_loss"
    assert refused.value.lines == (f"metric: head=softmax is scored by {allowed}; got quadratic_kappa",)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("mean_absolute_error", 2.5),
        ("root_mean_squared_error", 4),
        ("r2", 4),
        ("mean_absolute_percentage_error", 1),  # its weight, 1 / 1, is more than those of all others
    ],
)
def test_constant_number_is_the_statistic_of_its_metric(metric: str, expected: float) -> None:
    prices = np.array([3.0, 1.0, 10.0, 2.0], dtype=np.float32)
    number = NumberHead("number", "relu", "l1", "")
    assert number.constant_prediction(prices, METRICS[metric]).tolist() == [expected]


def test_constant_probabilities_are_the_statistic_of_their_metric() -> None:
    head = SigmoidHead("sigmoid", ("no", "yes"))
    targets = np.array([0, 0, 0, 1])
    chosen = {
        name: head.constant_prediction(targets, METRICS[name]).tolist() for name in ("accuracy", "f1", "log_loss")
    }
    assert chosen == {"accuracy": [1, 0], "f1": [0, 1], "log_loss": [0.75, 0.25]}


SEARCHES = {
    "log_loss": "cat_species",
    "quadratic_kappa": "cat_age_bands",
    "r2": "house_price",
}


@pytest.mark.parametrize(("metric", "task"), SEARCHES.items())
def test_search_optimizes_and_reports_the_metric(metric: str, task: str, store: Path) -> None:
    sizes = [word for word in TINY if task != "house_price" or "size" not in word]
    folder = search(store, f"task={task}", *sizes, "budget.trials=4", f"metric={metric}", report=True)
    summary = json.loads((folder / "summary.json").read_text())
    test = summary["test"]
    assert test["metric"] == summary["majority"]["metric"] == metric
    assert test["low"] <= test["value"] <= test["high"]
    assert all(math.isfinite(value) for value in (*test["others"].values(), summary["majority"]["value"]))
    page = (folder / "report" / "report.html").read_text()
    assert METRICS[metric].title in page
    assert METRICS[metric].format(test["value"]) in page
