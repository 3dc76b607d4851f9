"""Lightning around the engine: one fit a trial, one best epoch for all folds, endings."""

import math

import pytest
import torch

from pipeline.config import schema
from pipeline.config.schema import Compute, Model, Training
from pipeline.engine import Seeds
from pipeline.members import Preparation
from pipeline.question import Question
from pipeline.training import Epoch, NoDeviceError, Outcome, refit, resolve, search_folds
from tests.conftest import picture_examples, question


@pytest.fixture(scope="module")
def asked() -> Question:
    return question(picture_examples(90), schema.Softmax("softmax"), "accuracy")


def fit(asked: Question, judge: object = lambda *_: False, **changes: object) -> Outcome:
    training = {"epochs": 6, "batch_size": 16, "learning_rate": 0.01, "weight_decay": 0.0, "optimizer": "adamw"}
    training |= {"patience": None, "flip": True, "shift": 1} | changes
    members = Preparation(asked.examples, asked.inputs, asked.head, torch.device("cpu")).folds(asked.splits)
    return search_folds(asked.task, members, Model((8,), "relu", 0.1), Training(**training), Seeds(0, 0), judge)


def test_learns_and_scores_every_epoch_on_every_fold(asked: Question) -> None:
    outcome = fit(asked)
    assert len(outcome.epochs) == 6
    assert all(len(epoch.folds) == 3 for epoch in outcome.epochs)
    assert outcome.value > 0.8
    assert outcome.ending == "complete"


def test_value_is_the_mean_over_the_folds_at_one_epoch_for_all(asked: Question) -> None:
    outcome = fit(asked)
    means = [math.fsum(epoch.folds) / 3 for epoch in outcome.epochs]
    assert outcome.value == max(means)
    assert outcome.best == means.index(max(means)) + 1


def test_judge_sees_each_epoch_and_ends_the_trial(asked: Question) -> None:
    seen: list[int] = []

    def judge(epoch: int, _: Epoch) -> bool:
        seen.append(epoch)
        return epoch == 2

    outcome = fit(asked, judge)
    assert (seen, outcome.ending) == ([1, 2], "pruned")


def test_patience_ends_a_trial_that_no_longer_gains(asked: Question) -> None:
    outcome = fit(asked, epochs=200, patience=3, learning_rate=0.05)
    assert outcome.ending == "patience"
    assert len(outcome.epochs) == outcome.best + 3


def test_divergence_is_told_and_never_a_score(asked: Question) -> None:
    outcome = fit(asked, optimizer="sgd", learning_rate=100.0, epochs=30)
    assert outcome.ending == "diverged"
    assert all(math.isfinite(epoch.mean) for epoch in outcome.epochs)


def test_same_twice_bit_for_bit(asked: Question) -> None:
    assert fit(asked).epochs == fit(asked).epochs


def test_refit_trains_on_all_development_rows(asked: Question) -> None:
    member = Preparation(asked.examples, asked.inputs, asked.head, torch.device("cpu")).all_rows(
        asked.splits.development
    )
    training = Training(8, 16, 0.01, 0.0, "adamw", None, flip=False, shift=0)
    weights = refit(asked.task, member, Model((8,), "relu", 0.0), training, 8, Seeds(0, 0))
    assert set(weights) == {"layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"}
    assert len(member.train) == len(asked.splits.development)


def test_bf16_is_near_fp32(asked: Question) -> None:
    bf16 = question(picture_examples(90), schema.Softmax("softmax"), "accuracy")
    device = resolve(Compute("cpu", "bf16"))
    assert device.precision == "bf16"
    object.__setattr__(bf16.task, "device", device)
    assert fit(bf16).value == pytest.approx(fit(asked).value, abs=0.15)
    assert fit(bf16).epochs != fit(asked).epochs


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_refuses_a_gpu_that_is_not_there() -> None:
    with pytest.raises(NoDeviceError, match="compute=gpu: needs a GPU that torch can use; found none"):
        resolve(Compute("gpu", "auto"))
