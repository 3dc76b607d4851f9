"""A trial interrupted anywhere, and trained on from its checkpoint, is the trial that was never interrupted."""

import os
import signal
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.config.heads import SoftmaxConfig
from pipeline.config.model import Convolutions, Model
from pipeline.config.schema import Training
from pipeline.runtime.signals import SearchInterrupted, SignalGuard
from pipeline.study.problem import Problem
from pipeline.training import checkpoints
from pipeline.training.checkpoints import CheckpointPolicy, CheckpointStore
from pipeline.training.engine import FoldData, FusedDenseStack, StreamSeeds
from pipeline.training.fit import cross_validate_trials
from pipeline.training.trials import TrialResult, TrialSpec
from tests.conftest import picture_examples, question

MODEL = Model((8, 5), "gelu", 0.2)
TRAINING = Training(4, 16, 0.01, 0.01, "adamw", None, flip=True, shift=1)


@pytest.fixture(scope="module")
def asked() -> Problem:
    return question(picture_examples(62), SoftmaxConfig("softmax"), "accuracy")


@pytest.fixture(scope="module")
def folds(asked: Problem) -> list[FoldData]:
    return asked.fold_data_builder().build_folds(asked.splits)


def stopped(means: Sequence[float]) -> bool:
    return len(means) == 2


def never(*_: object) -> bool:
    return False


TRIALS = {
    3: TrialSpec(MODEL, TRAINING, StreamSeeds(0, 3), never),
    4: TrialSpec(replace(MODEL, dropout=0.0), TRAINING, StreamSeeds(0, 4), stopped),
    6: TrialSpec(
        MODEL,
        replace(TRAINING, epochs=6, learning_rate=0.003, ema_decay=0.9, schedule="one_cycle"),
        StreamSeeds(0, 6),
        never,
    ),
}
BLOCKS = Model((5,), "gelu", 0.2, Convolutions((4, 6), 3, "max"))
CONVOLUTIONAL = {
    7: TrialSpec(BLOCKS, TRAINING, StreamSeeds(0, 7), never),
    8: TrialSpec(BLOCKS, replace(TRAINING, optimizer="sgd", epochs=3, schedule="cosine"), StreamSeeds(0, 8), stopped),
}
ALL = TRIALS | CONVOLUTIONAL


class Stopping:
    """Raises `Stopped` after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise SearchInterrupted(143)


def tried(numbers: Iterable[int]) -> dict[int, str]:
    return {number: f"what {number} tries" for number in numbers}


def train(
    asked: Problem, folds: Sequence[FoldData], folder: Path, numbers: Sequence[int], steps: int = 10**9
) -> list[TrialResult]:
    keeper = CheckpointPolicy(CheckpointStore(folder), tried(numbers), Stopping(steps))
    return cross_validate_trials(asked.task, folds, [ALL[number] for number in numbers], keeper)


def assert_equal(first: Sequence[TrialResult], second: Sequence[TrialResult]) -> None:
    for mine, theirs in zip(first, second, strict=True):
        assert (mine.epoch_results, mine.best_epoch, mine.stop_reason) == (
            theirs.epoch_results,
            theirs.best_epoch,
            theirs.stop_reason,
        )
        for one, other in zip(mine.fold_weights, theirs.fold_weights, strict=True):
            assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("trials", [TRIALS, CONVOLUTIONAL], ids=["dense", "convolutional"])
def test_interrupted_after_any_step_and_again_and_again(
    trials: dict[int, TrialSpec], asked: Problem, folds: list[FoldData], tmp_path: Path
) -> None:
    """At every step of the first epoch, and at others up to the last; inside epochs and between them."""
    whole = cross_validate_trials(asked.task, folds, list(trials.values()))
    for steps in (0, 1, 2, 3, 4, 5, 7, 11, 13):
        folder = tmp_path / str(steps)
        folder.mkdir()
        for call in range(100):
            try:
                found = train(asked, folds, folder, list(trials), max(steps, min(call, 1)))
                break
            except SearchInterrupted:
                assert list((folder / "checkpoints").iterdir())
        assert call > 0
        assert_equal(found, whole)


def test_one_of_two_convolutional_trials_goes_on_from_a_checkpoint_of_both(
    asked: Problem, folds: list[FoldData], tmp_path: Path
) -> None:
    whole = cross_validate_trials(asked.task, folds, list(CONVOLUTIONAL.values()))
    with pytest.raises(SearchInterrupted):
        train(asked, folds, tmp_path, [7, 8], 13)
    assert_equal(train(asked, folds, tmp_path, [8]), whole[1:])


def test_some_of_the_trials_go_on_from_a_checkpoint_of_more(
    asked: Problem, folds: list[FoldData], tmp_path: Path
) -> None:
    """The others are in the record already."""
    whole = cross_validate_trials(asked.task, folds, list(TRIALS.values()))
    for steps in (5, 12):
        folder = tmp_path / str(steps)
        folder.mkdir()
        with pytest.raises(SearchInterrupted):
            train(asked, folds, folder, [3, 4, 6], steps)
        assert_equal(train(asked, folds, folder, [6]), whole[2:])
        assert_equal(train(asked, folds, folder, [6, 4]), [whole[2], whole[1]])


def test_checkpoint_of_another_candidate_under_the_same_number_is_none(
    asked: Problem, folds: list[FoldData], tmp_path: Path
) -> None:
    """As another number of workers draws it."""
    with pytest.raises(SearchInterrupted):
        train(asked, folds, tmp_path, list(TRIALS), 9)
    assert CheckpointStore(tmp_path).load_latest(tried(TRIALS)) is not None
    assert CheckpointStore(tmp_path).load_latest({**tried(TRIALS), 4: "something else"}) is None


def test_damaged_checkpoint_costs_time_and_nothing_else(asked: Problem, folds: list[FoldData], tmp_path: Path) -> None:
    whole = cross_validate_trials(asked.task, folds, list(TRIALS.values()))
    with pytest.raises(SearchInterrupted):
        train(asked, folds, tmp_path, list(TRIALS), 9)
    (file,) = (tmp_path / "checkpoints").iterdir()
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    assert CheckpointStore(tmp_path).load_latest(tried(TRIALS)) is None
    assert_equal(train(asked, folds, tmp_path, list(TRIALS)), whole)
    file.write_bytes(content[: len(content) // 2])
    assert CheckpointStore(tmp_path).load_latest(tried(TRIALS)) is None


def test_checkpoint_is_written_every_so_often_while_it_trains(
    asked: Problem, folds: list[FoldData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_INTERVAL_SECONDS", 0.0)
    whole = cross_validate_trials(asked.task, folds, list(TRIALS.values()))
    assert_equal(train(asked, folds, tmp_path, list(TRIALS)), whole)
    saved = CheckpointStore(tmp_path).load_latest(tried(TRIALS))
    assert saved is not None
    assert saved.position[0] == 5
    CheckpointStore(tmp_path).delete(list(TRIALS))
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_sigterm_between_the_steps_of_two_epochs_is_heard_by_us_and_not_by_lightning(
    asked: Problem, folds: list[FoldData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate = FusedDenseStack.validate

    def signalled(self: FusedDenseStack) -> list[torch.Tensor]:
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(self)

    monkeypatch.setattr(FusedDenseStack, "validate", signalled)
    with SignalGuard() as interrupt, interrupt.deferred():
        keeper = CheckpointPolicy(CheckpointStore(tmp_path), tried(TRIALS), interrupt.raise_if_interrupted)
        with pytest.raises(SearchInterrupted, match="143"):
            cross_validate_trials(asked.task, folds, list(TRIALS.values()), keeper)
    saved = CheckpointStore(tmp_path).load_latest(tried(TRIALS))
    assert saved is not None
    assert saved.position == (1, 0, 1)
