"""Lightning around the engine: one fit a trial, one best epoch for all folds, endings."""

import gc
import math
from dataclasses import replace

import pytest
import torch
from pytorch_lightning import Trainer

from pipeline.config.heads import SoftmaxConfig
from pipeline.config.model import Model
from pipeline.config.schema import ComputeConfig, Training
from pipeline.study.problem import Problem
from pipeline.training.device import NoDeviceError, resolve_device
from pipeline.training.engine import FoldData, FusedDenseStack, Member, StreamSeeds
from pipeline.training.fit import cross_validate_trials, refit
from pipeline.training.trials import TrialResult, TrialSpec
from tests.conftest import picture_examples, question


@pytest.fixture(scope="module")
def asked() -> Problem:
    return question(picture_examples(90), SoftmaxConfig("softmax"), "accuracy")


MODEL = Model((8,), "relu", 0.1)
TRAINING = Training(6, 16, 0.01, 0.0, "adamw", None, flip=False, shift=0)


def folds(asked: Problem) -> list[FoldData]:
    return asked.fold_data_builder().build_folds(asked.splits)


def fit(asked: Problem, judge: object = lambda *_: False, **changes: object) -> TrialResult:
    training = {"epochs": 6, "batch_size": 16, "learning_rate": 0.01, "weight_decay": 0.0, "optimizer": "adamw"}
    training |= {"patience": None, "flip": True, "shift": 1} | changes
    (outcome,) = cross_validate_trials(
        asked.task, folds(asked), [TrialSpec(MODEL, Training(**training), StreamSeeds(0, 0), judge)]
    )
    return outcome


def test_learns_and_scores_every_epoch_on_every_fold(asked: Problem) -> None:
    outcome = fit(asked)
    assert len(outcome.epoch_results) == 6
    assert all(len(epoch.fold_scores) == 3 for epoch in outcome.epoch_results)
    assert outcome.value > 0.8
    assert outcome.stop_reason == "complete"


def test_value_is_the_mean_over_the_folds_at_one_epoch_for_all(asked: Problem) -> None:
    outcome = fit(asked)
    means = [math.fsum(epoch.fold_scores) / 3 for epoch in outcome.epoch_results]
    assert outcome.value == max(means)
    assert outcome.best_epoch == means.index(max(means)) + 1


def test_judge_sees_each_epoch_and_ends_the_trial(asked: Problem) -> None:
    seen: list[int] = []

    def judge(means: list[float]) -> bool:
        seen.append(len(means))
        return len(means) == 2

    outcome = fit(asked, judge)
    assert (seen, outcome.stop_reason) == ([1, 2], "pruned")


def test_patience_ends_a_trial_that_no_longer_gains(asked: Problem) -> None:
    outcome = fit(asked, epochs=200, patience=3, learning_rate=0.05)
    assert outcome.stop_reason == "patience"
    assert len(outcome.epoch_results) == outcome.best_epoch + 3


def test_trials_side_by_side_are_what_each_is_alone(asked: Problem) -> None:
    """Also after others have been stopped, have run out of epochs, patience or finite numbers."""

    def stopped(means: list[float]) -> bool:
        return len(means) == 2

    def never(*_: object) -> bool:
        return False

    trials = [
        TrialSpec(MODEL, replace(TRAINING, learning_rate=0.03), StreamSeeds(0, 1), never),
        TrialSpec(replace(MODEL, dropout=0.4), TRAINING, StreamSeeds(0, 2), stopped),
        TrialSpec(MODEL, replace(TRAINING, epochs=3), StreamSeeds(0, 3), never),
        TrialSpec(MODEL, replace(TRAINING, learning_rate=100.0, weight_decay=100.0), StreamSeeds(0, 4), never),
        TrialSpec(
            replace(MODEL, dropout=0.0), replace(TRAINING, epochs=9, flip=True, shift=1), StreamSeeds(0, 5), never
        ),
    ]
    together = cross_validate_trials(asked.task, folds(asked), trials)
    assert [outcome.stop_reason for outcome in together] == ["complete", "pruned", "complete", "diverged", "complete"]
    assert [len(outcome.epoch_results) for outcome in together][:3] == [6, 2, 3]
    for trial, outcome in zip(trials, together, strict=True):
        (alone,) = cross_validate_trials(asked.task, folds(asked), [trial])
        assert (alone.epoch_results, alone.best_epoch, alone.stop_reason) == (
            outcome.epoch_results,
            outcome.best_epoch,
            outcome.stop_reason,
        )
        for mine, theirs in zip(alone.fold_weights, outcome.fold_weights, strict=True):
            assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_divergence_is_told_and_never_a_score(asked: Problem) -> None:
    outcome = fit(asked, optimizer="sgd", learning_rate=100.0, epochs=30)
    assert outcome.stop_reason == "diverged"
    assert all(math.isfinite(epoch.mean_score) for epoch in outcome.epoch_results)


def test_a_fit_leaves_nothing_behind(asked: Problem) -> None:
    def alive() -> int:
        gc.unfreeze()
        return sum(type(each) in (Trainer, FusedDenseStack) for each in gc.get_objects())

    before = alive()
    for _ in range(3):
        fit(asked)
    assert alive() == before


def test_same_twice_bit_for_bit(asked: Problem) -> None:
    assert fit(asked).epoch_results == fit(asked).epoch_results


def test_refit_trains_on_all_development_rows(asked: Problem) -> None:
    preparation = asked.fold_data_builder()
    data = preparation.build_refit_data(asked.splits.development)
    weights = refit(asked.task, Member(MODEL, TRAINING, StreamSeeds(0, 0), data), 8)
    assert set(weights) == {"layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"}
    assert len(data.train) == len(asked.splits.development)


def test_bf16_is_near_fp32(asked: Problem) -> None:
    bf16 = question(picture_examples(90), SoftmaxConfig("softmax"), "accuracy")
    device = resolve_device(ComputeConfig("cpu", "bf16", 1, "auto"))
    assert device.precision == "bf16"
    object.__setattr__(bf16.task, "device", device)
    assert fit(bf16).value == pytest.approx(fit(asked).value, abs=0.15)
    assert fit(bf16).epoch_results != fit(asked).epoch_results


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_refuses_a_gpu_that_is_not_there() -> None:
    with pytest.raises(NoDeviceError, match="compute=gpu: needs a GPU that torch can use; found none"):
        resolve_device(ComputeConfig("gpu", "auto", 1, "auto"))
