"""A trial interrupted anywhere, and trained on from its checkpoint, is the trial that was never interrupted."""

import os
import signal
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.config import schema
from pipeline.config.model import Convolutions, Model
from pipeline.config.schema import Training
from pipeline.runtime.signals import Interrupt, Stopped
from pipeline.study.problem import Question
from pipeline.training import checkpoints
from pipeline.training.checkpoints import Checkpoints, OnDisk
from pipeline.training.engine import DenseStack, FoldData, Seeds
from pipeline.training.fit import search_folds
from pipeline.training.fold_data import Preparation
from pipeline.training.trial_state import Outcome, Trial
from tests.conftest import picture_examples, question

MODEL = Model((8, 5), "gelu", 0.2)
TRAINING = Training(4, 16, 0.01, 0.01, "adamw", None, flip=True, shift=1)


@pytest.fixture(scope="module")
def asked() -> Question:
    return question(picture_examples(62), schema.Softmax("softmax"), "accuracy")


@pytest.fixture(scope="module")
def folds(asked: Question) -> list[FoldData]:
    return Preparation(asked.examples, asked.inputs, asked.head, torch.device("cpu")).folds(asked.splits)


def stopped(means: Sequence[float]) -> bool:
    return len(means) == 2


def never(*_: object) -> bool:
    return False


TRIALS = {
    3: Trial(MODEL, TRAINING, Seeds(0, 3), never),
    4: Trial(replace(MODEL, dropout=0.0), TRAINING, Seeds(0, 4), stopped),
    6: Trial(MODEL, replace(TRAINING, epochs=6, learning_rate=0.003), Seeds(0, 6), never),
}
BLOCKS = Model((5,), "gelu", 0.2, Convolutions((4, 6), 3, "max"))
CONVOLUTIONAL = {
    7: Trial(BLOCKS, TRAINING, Seeds(0, 7), never),
    8: Trial(BLOCKS, replace(TRAINING, optimizer="sgd", epochs=3), Seeds(0, 8), stopped),
}
ALL = TRIALS | CONVOLUTIONAL


class Stopping:
    """Raises `Stopped` after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Stopped(143)


def tried(numbers: Iterable[int]) -> dict[int, str]:
    return {number: f"what {number} tries" for number in numbers}


def train(
    asked: Question, folds: Sequence[FoldData], folder: Path, numbers: Sequence[int], steps: int = 10**9
) -> list[Outcome]:
    keeper = OnDisk(Checkpoints(folder), tried(numbers), Stopping(steps))
    return search_folds(asked.task, folds, [ALL[number] for number in numbers], keeper)


def assert_equal(first: Sequence[Outcome], second: Sequence[Outcome]) -> None:
    for mine, theirs in zip(first, second, strict=True):
        assert (mine.epochs, mine.best, mine.ending) == (theirs.epochs, theirs.best, theirs.ending)
        for one, other in zip(mine.states, theirs.states, strict=True):
            assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("trials", [TRIALS, CONVOLUTIONAL], ids=["dense", "convolutional"])
def test_interrupted_after_any_step_and_again_and_again(
    trials: dict[int, Trial], asked: Question, folds: list[FoldData], tmp_path: Path
) -> None:
    """At every step of the first epoch, and at others up to the last; inside epochs and between them."""
    whole = search_folds(asked.task, folds, list(trials.values()))
    for steps in (0, 1, 2, 3, 4, 5, 7, 11, 13):
        folder = tmp_path / str(steps)
        folder.mkdir()
        for call in range(100):
            try:
                found = train(asked, folds, folder, list(trials), max(steps, min(call, 1)))
                break
            except Stopped:
                assert list((folder / "checkpoints").iterdir())
        assert call > 0
        assert_equal(found, whole)


def test_one_of_two_convolutional_trials_goes_on_from_a_checkpoint_of_both(
    asked: Question, folds: list[FoldData], tmp_path: Path
) -> None:
    whole = search_folds(asked.task, folds, list(CONVOLUTIONAL.values()))
    with pytest.raises(Stopped):
        train(asked, folds, tmp_path, [7, 8], 13)
    assert_equal(train(asked, folds, tmp_path, [8]), whole[1:])


def test_some_of_the_trials_go_on_from_a_checkpoint_of_more(
    asked: Question, folds: list[FoldData], tmp_path: Path
) -> None:
    """The others are in the record already."""
    whole = search_folds(asked.task, folds, list(TRIALS.values()))
    for steps in (5, 12):
        folder = tmp_path / str(steps)
        folder.mkdir()
        with pytest.raises(Stopped):
            train(asked, folds, folder, [3, 4, 6], steps)
        assert_equal(train(asked, folds, folder, [6]), whole[2:])
        assert_equal(train(asked, folds, folder, [6, 4]), [whole[2], whole[1]])


def test_checkpoint_of_another_candidate_under_the_same_number_is_none(
    asked: Question, folds: list[FoldData], tmp_path: Path
) -> None:
    """As another number of workers draws it."""
    with pytest.raises(Stopped):
        train(asked, folds, tmp_path, list(TRIALS), 9)
    assert Checkpoints(tmp_path).find(tried(TRIALS)) is not None
    assert Checkpoints(tmp_path).find({**tried(TRIALS), 4: "something else"}) is None


def test_damaged_checkpoint_costs_time_and_nothing_else(asked: Question, folds: list[FoldData], tmp_path: Path) -> None:
    whole = search_folds(asked.task, folds, list(TRIALS.values()))
    with pytest.raises(Stopped):
        train(asked, folds, tmp_path, list(TRIALS), 9)
    (file,) = (tmp_path / "checkpoints").iterdir()
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    assert Checkpoints(tmp_path).find(tried(TRIALS)) is None
    assert_equal(train(asked, folds, tmp_path, list(TRIALS)), whole)
    file.write_bytes(content[: len(content) // 2])
    assert Checkpoints(tmp_path).find(tried(TRIALS)) is None


def test_checkpoint_is_written_every_so_often_while_it_trains(
    asked: Question, folds: list[FoldData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    whole = search_folds(asked.task, folds, list(TRIALS.values()))
    assert_equal(train(asked, folds, tmp_path, list(TRIALS)), whole)
    saved = Checkpoints(tmp_path).find(tried(TRIALS))
    assert saved is not None
    assert saved.position[0] == 5
    Checkpoints(tmp_path).forget(list(TRIALS))
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_sigterm_between_the_steps_of_two_epochs_is_heard_by_us_and_not_by_lightning(
    asked: Question, folds: list[FoldData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate = DenseStack.validate

    def signalled(self: DenseStack) -> list[torch.Tensor]:
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(self)

    monkeypatch.setattr(DenseStack, "validate", signalled)
    with Interrupt() as interrupt, interrupt.waiting():
        keeper = OnDisk(Checkpoints(tmp_path), tried(TRIALS), interrupt.check)
        with pytest.raises(Stopped, match="143"):
            search_folds(asked.task, folds, list(TRIALS.values()), keeper)
    saved = Checkpoints(tmp_path).find(tried(TRIALS))
    assert saved is not None
    assert saved.position == (1, 0, 1)
