"""Lightning around the engine: one fit a trial, one best epoch for all folds, endings."""

import gc
import math
from dataclasses import replace

import pytest
import torch
from pytorch_lightning import Trainer

from pipeline.config import schema
from pipeline.config.model import Model
from pipeline.config.schema import Compute, Training
from pipeline.study.problem import Question
from pipeline.training.device import NoDeviceError, resolve
from pipeline.training.engine import DenseStack, FoldData, Member, Seeds
from pipeline.training.fit import refit, search_folds
from pipeline.training.fold_data import Preparation
from pipeline.training.trial_state import Outcome, Trial
from tests.conftest import picture_examples, question


@pytest.fixture(scope="module")
def asked() -> Question:
    return question(picture_examples(90), schema.Softmax("softmax"), "accuracy")


MODEL = Model((8,), "relu", 0.1)
TRAINING = Training(6, 16, 0.01, 0.0, "adamw", None, flip=False, shift=0)


def folds(asked: Question) -> list[FoldData]:
    return Preparation(asked.examples, asked.inputs, asked.head, torch.device("cpu")).folds(asked.splits)


def fit(asked: Question, judge: object = lambda *_: False, **changes: object) -> Outcome:
    training = {"epochs": 6, "batch_size": 16, "learning_rate": 0.01, "weight_decay": 0.0, "optimizer": "adamw"}
    training |= {"patience": None, "flip": True, "shift": 1} | changes
    (outcome,) = search_folds(asked.task, folds(asked), [Trial(MODEL, Training(**training), Seeds(0, 0), judge)])
    return outcome


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

    def judge(means: list[float]) -> bool:
        seen.append(len(means))
        return len(means) == 2

    outcome = fit(asked, judge)
    assert (seen, outcome.ending) == ([1, 2], "pruned")


def test_patience_ends_a_trial_that_no_longer_gains(asked: Question) -> None:
    outcome = fit(asked, epochs=200, patience=3, learning_rate=0.05)
    assert outcome.ending == "patience"
    assert len(outcome.epochs) == outcome.best + 3


def test_trials_side_by_side_are_what_each_is_alone(asked: Question) -> None:
    """Also after others have been stopped, have run out of epochs, patience or finite numbers."""

    def stopped(means: list[float]) -> bool:
        return len(means) == 2

    def never(*_: object) -> bool:
        return False

    trials = [
        Trial(MODEL, replace(TRAINING, learning_rate=0.03), Seeds(0, 1), never),
        Trial(replace(MODEL, dropout=0.4), TRAINING, Seeds(0, 2), stopped),
        Trial(MODEL, replace(TRAINING, epochs=3), Seeds(0, 3), never),
        Trial(MODEL, replace(TRAINING, learning_rate=100.0, weight_decay=100.0), Seeds(0, 4), never),
        Trial(replace(MODEL, dropout=0.0), replace(TRAINING, epochs=9, flip=True, shift=1), Seeds(0, 5), never),
    ]
    together = search_folds(asked.task, folds(asked), trials)
    assert [outcome.ending for outcome in together] == ["complete", "pruned", "complete", "diverged", "complete"]
    assert [len(outcome.epochs) for outcome in together][:3] == [6, 2, 3]
    for trial, outcome in zip(trials, together, strict=True):
        (alone,) = search_folds(asked.task, folds(asked), [trial])
        assert (alone.epochs, alone.best, alone.ending) == (outcome.epochs, outcome.best, outcome.ending)
        for mine, theirs in zip(alone.states, outcome.states, strict=True):
            assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_divergence_is_told_and_never_a_score(asked: Question) -> None:
    outcome = fit(asked, optimizer="sgd", learning_rate=100.0, epochs=30)
    assert outcome.ending == "diverged"
    assert all(math.isfinite(epoch.mean) for epoch in outcome.epochs)


def test_a_fit_leaves_nothing_behind(asked: Question) -> None:
    def alive() -> int:
        gc.unfreeze()
        return sum(type(each) in (Trainer, DenseStack) for each in gc.get_objects())

    before = alive()
    for _ in range(3):
        fit(asked)
    assert alive() == before


def test_same_twice_bit_for_bit(asked: Question) -> None:
    assert fit(asked).epochs == fit(asked).epochs


def test_refit_trains_on_all_development_rows(asked: Question) -> None:
    preparation = Preparation(asked.examples, asked.inputs, asked.head, torch.device("cpu"))
    data = preparation.all_rows(asked.splits.development)
    weights = refit(asked.task, Member(MODEL, TRAINING, Seeds(0, 0), data), 8)
    assert set(weights) == {"layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"}
    assert len(data.train) == len(asked.splits.development)


def test_bf16_is_near_fp32(asked: Question) -> None:
    bf16 = question(picture_examples(90), schema.Softmax("softmax"), "accuracy")
    device = resolve(Compute("cpu", "bf16", 1, "auto"))
    assert device.precision == "bf16"
    object.__setattr__(bf16.task, "device", device)
    assert fit(bf16).value == pytest.approx(fit(asked).value, abs=0.15)
    assert fit(bf16).epochs != fit(asked).epochs


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_refuses_a_gpu_that_is_not_there() -> None:
    with pytest.raises(NoDeviceError, match="compute=gpu: needs a GPU that torch can use; found none"):
        resolve(Compute("gpu", "auto", 1, "auto"))
