"""Heads: activation, loss, scores and answers are those of the textbook."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from pipeline.config import schema
from pipeline.config.heads import NumberConfig, SigmoidConfig
from pipeline.config.metrics import METRICS
from pipeline.models import heads
from pipeline.models.heads import BandsHead, NumberHead, SigmoidHead, SigmoidsHead, SoftmaxHead
from pipeline.runtime.errors import UserError
from tests.conftest import picture_examples, table_examples

TRAINING = schema.Training(1, 16, 0.01, 0.0, "adamw", None, flip=False, shift=0)
ANIMALS = ("cat", "lion", "iguana")
METRICS_OF_CLASSES = ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "average_precision", "log_loss")
METRICS_OF_NUMBERS = (
    "mean_absolute_error",
    "root_mean_squared_error",
    "mean_absolute_percentage_error",
    "r2",
)


def test_softmax_of_5_3_1() -> None:
    answer = SoftmaxHead("softmax", ANIMALS).to_predictions(torch.tensor([[5.0, 3.0, 1.0]]), {})
    assert [round(value, 4) for value in answer[0].tolist()] == [0.8668, 0.1173, 0.0159]
    assert float(answer.sum()) == pytest.approx(1)


def test_three_sigmoids_may_all_say_yes_where_a_softmax_must_choose() -> None:
    outputs = torch.tensor([[3.0, 3.0, -4.0]])
    sigmoids, softmax = SigmoidsHead("sigmoids", ANIMALS), SoftmaxHead("softmax", ANIMALS)
    assert sigmoids.format_prediction(sigmoids.to_predictions(outputs, {})[0]) == "cat + lion"
    assert softmax.to_predictions(outputs, {})[0, :2].max() <= 0.5
    assert sigmoids.format_prediction(sigmoids.to_predictions(-outputs.abs(), {})[0]) == "none"


def test_loss_of_labels_is_the_sum_over_them() -> None:
    head, outputs = SigmoidsHead("sigmoids", ANIMALS), torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1.0, 0, 1]] * 5)
    each = [functional.binary_cross_entropy_with_logits(outputs[:, i], targets[:, i]) for i in range(3)]
    assert float(head.loss(outputs, targets, TRAINING)) == pytest.approx(float(torch.stack(each).sum()), rel=1e-6)


def test_labels_report_each_label_and_the_share_of_rows_with_all_right() -> None:
    head = SigmoidsHead("sigmoids", ANIMALS)
    targets = torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 0], [0, 1, 1]])
    answers = torch.tensor([[0.9, 0.1, 0.8], [0.2, 0.1, 0.9], [0.9, 0.8, 0.1], [0.1, 0.2, 0.9]])
    scores = head.score_all(answers, targets, {})
    assert scores["accuracy"] == 0.5
    assert [scores[f"accuracy/{label}"] for label in ANIMALS] == [1.0, 0.75, 0.75]
    assert scores["f1_macro"] == pytest.approx((1 + 2 / 3 + 0.8) / 3, rel=1e-6)


def test_sigmoid_is_the_chance_of_the_second_class() -> None:
    head = SigmoidHead("sigmoid", ("day", "night"))
    answer = head.to_predictions(torch.tensor([[2.0], [-1.0]]), {})
    assert answer[:, 1].tolist() == pytest.approx(torch.tensor([2.0, -1.0]).sigmoid().tolist())
    assert answer.sum(dim=1).tolist() == pytest.approx([1, 1])
    assert [head.format_prediction(row) for row in answer] == ["night", "day"]


def test_relu_output_is_scaled_by_a_division_and_never_below_zero() -> None:
    head, targets = NumberHead("number", "relu", "l1", "years"), np.array([0.0, 4.0, 8.0], dtype=np.float32)
    constants = head.fit(targets)
    assert float(constants["target.shift"]) == 0
    assert head.encode_targets(torch.zeros(1), constants).item() == 0
    assert float(head.to_predictions(torch.tensor([[-3.0], [0.5]]), constants).min()) == 0
    assert head.initial_output_bias(targets, constants) > 0


def test_identity_output_gives_back_what_was_encoded() -> None:
    head, targets = NumberHead("number", "identity", "l2", "USD"), np.array([-5.0, 3.0, 90.0], dtype=np.float32)
    constants = head.fit(targets)
    encoded = head.encode_targets(torch.from_numpy(targets), constants)
    assert head.to_predictions(encoded[:, None], constants)[:, 0].tolist() == pytest.approx(targets.tolist(), abs=1e-4)


@pytest.mark.parametrize(("kind", "expected"), [("l1", 1.5), ("l2", 2.5)])
def test_l1_and_l2_are_absolute_and_squared(kind: str, expected: float) -> None:
    head = NumberHead("number", "identity", kind, "")
    assert float(head.loss(torch.tensor([[1.0], [2.0]]), torch.zeros(2), TRAINING)) == expected


def test_regression_reports_in_the_targets_own_unit() -> None:
    head = NumberHead("number", "identity", "l1", "USD")
    scores = head.score_all(torch.tensor([[100.0], [300.0]]), torch.tensor([200.0, 300.0]), {})
    assert scores["mean_absolute_error"] == 50
    assert scores["root_mean_squared_error"] == pytest.approx(70.7107, rel=1e-4)
    assert scores["r2"] == pytest.approx(-1)


def test_bands_hold_their_lower_edge_and_report_years() -> None:
    head = BandsHead("bands", (1.0, 3.0, 7.0), "years")
    ages = np.array([0.5, 1.0, 2.0, 5.0, 7.0, 20.0], dtype=np.float32)
    constants = head.fit(ages)
    assert head.encode_targets(torch.from_numpy(ages), constants).tolist() == [0, 1, 1, 2, 3, 3]
    assert constants["target.centres"].tolist() == [0.5, 1.5, 5.0, 13.5]
    certain = functional.one_hot(head.encode_targets(torch.from_numpy(ages), constants), 4).float()
    scores = head.score_all(certain, torch.from_numpy(ages), constants)
    assert scores["accuracy"] == 1
    assert scores["mean_absolute_error"] == pytest.approx((0.5 + 0.5 + 6.5 + 6.5) / 6)
    assert head.output_names == ("under 1 years", "1 to 3 years", "3 to 7 years", "7 and over years")


def test_majority_looks_at_no_input() -> None:
    assert SoftmaxHead("softmax", ANIMALS).constant_prediction(np.array([1, 1, 2]), METRICS["accuracy"]).tolist() == [
        0,
        1,
        0,
    ]
    numbers = np.array([1.0, 2.0, 9.0], dtype=np.float32)
    assert NumberHead("number", "relu", "l1", "").constant_prediction(
        numbers, METRICS["mean_absolute_error"]
    ).tolist() == [2]


HEADS = [
    *((SoftmaxHead("softmax", ANIMALS), metric) for metric in METRICS_OF_CLASSES),
    *((SigmoidHead("sigmoid", ("day", "night")), metric) for metric in (*METRICS_OF_CLASSES, "f1")),
    *(
        (SigmoidsHead("sigmoids", ANIMALS), metric)
        for metric in ("accuracy", "f1_macro", "roc_auc", "average_precision")
    ),
    *((BandsHead("bands", (1.0, 3.0, 7.0), "years"), metric) for metric in (*METRICS_OF_CLASSES, "quadratic_kappa")),
    *((BandsHead("bands", (1.0, 3.0, 7.0), "years"), metric) for metric in METRICS_OF_NUMBERS),
    *((NumberHead("number", "relu", "l1", "years"), metric) for metric in METRICS_OF_NUMBERS),
    (NumberHead("number", "identity", "l2", "years"), "mean_absolute_error"),
]


def constants(head: heads.Head, targets: np.ndarray) -> list[torch.Tensor]:
    """Answers that look at no input: each set of columns, alone and mixed with another, or each number there is."""
    if isinstance(head, NumberHead):
        return [torch.tensor([float(number)]) for number in targets]
    sets = [torch.tensor(each) for each in itertools.product((0.0, 1.0), repeat=len(head.output_names))]
    if isinstance(head, SigmoidsHead):
        return sets
    shares = (each / each.sum() for each in sets if each.any())
    return [(weight * share + (1 - weight) * share.roll(1)) for share in shares for weight in (1.0, 0.7, 0.3)]


@pytest.mark.parametrize(("head", "metric"), HEADS)
@pytest.mark.parametrize("seed", range(5))
def test_no_constant_answer_beats_the_majority(head: heads.Head, metric: str, seed: int) -> None:
    noise = np.random.default_rng(seed)
    targets = {
        SigmoidsHead: lambda: (noise.random((31, 3)) < noise.random(3)).astype(np.float32),
        BandsHead: lambda: noise.gamma(noise.uniform(0.2, 3), 3, 31).astype(np.float32),
        NumberHead: lambda: noise.gamma(2, 3, 31).astype(np.float32),
    }.get(
        type(head), lambda: noise.choice(len(head.output_names), 31, p=noise.dirichlet(np.ones(len(head.output_names))))
    )()
    learned, truth = head.fit(targets), torch.from_numpy(targets)

    def score(answer: torch.Tensor) -> float:
        return head.score(METRICS[metric], answer.expand(len(targets), -1), truth, learned)

    tried = list(map(score, constants(head, targets)))
    best = score(head.constant_prediction(targets, METRICS[metric]))
    assert max(METRICS[metric].improvement(each, best) for each in tried) <= 1e-5


def test_majority_of_labels_is_all_for_f1_and_the_most_frequent_set_for_accuracy() -> None:
    head, targets = SigmoidsHead("sigmoids", ANIMALS), np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    assert head.constant_prediction(targets, METRICS["f1_macro"]).tolist() == [1, 1, 1]
    assert head.constant_prediction(targets, METRICS["accuracy"]).tolist() == [1, 0, 0]
    assert head.constant_prediction(targets[:2], METRICS["f1_macro"]).tolist() == [1, 0, 0]


def test_majority_of_bands_as_a_number_is_the_median() -> None:
    head, ages = BandsHead("bands", (1.0, 3.0, 7.0), "years"), np.array([0.5, 2.0, 4.0, 6.0, 9.0], dtype=np.float32)
    constants = head.fit(ages)
    assert head.to_expected_values(
        head.constant_prediction(ages, METRICS["mean_absolute_error"]), constants
    ).item() == pytest.approx(4.0)
    assert head.constant_prediction(ages, METRICS["accuracy"]).tolist() == [0, 0, 1, 0]


def test_refuses_sigmoid_for_three_classes() -> None:
    with pytest.raises(UserError, match="head=sigmoid is for exactly two classes; got 3: a, b, c; use head=softmax"):
        heads.build_head(SigmoidConfig("sigmoid"), picture_examples())


def test_refuses_relu_for_targets_below_zero() -> None:
    examples = table_examples()
    examples.targets[0] = -1
    with pytest.raises(UserError, match=r"head\.output=relu never predicts below 0; got a target of -1"):
        heads.build_head(NumberConfig("number", "relu", "l1", ""), examples)
