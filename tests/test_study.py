"""The record of a search: what is asked, what is told, what goes on."""

import math
from pathlib import Path

import pytest

from pipeline.config.read import read
from pipeline.config.schema import Search
from pipeline.data.examples import DataError
from pipeline.study import Row, Study
from pipeline.training import Epoch, Outcome

FACTS = {"seed": "0", "data": "abc"}


def searched(*words: str) -> Search:
    return read(["task=cat_species", "pruner=none", *words])


def opened(folder: Path, *words: str, facts: dict[str, str] = FACTS) -> Study:
    return Study(searched(*words), "study", folder, facts, maximise=True)


def scored(learning_rate: float, ending: str = "complete") -> Outcome:
    """An outcome whose score is best at a learning rate of 0.003."""
    value = 1 - abs(math.log10(learning_rate / 0.003))
    return Outcome((Epoch(1.0, (value, value - 0.1)),), 1, ending, ())


def tried(study: Study, count: int) -> list[Row]:
    for _ in range(count):
        trial, candidate = study.ask()
        study.tell(trial, candidate, scored(candidate.training.learning_rate), 10, 0.1)
    return study.rows()


def test_baseline_is_trial_0(tmp_path: Path) -> None:
    study = opened(tmp_path)
    (row,) = tried(study, 1)
    assert row.fields == study.baseline.fields
    assert row.fields["model.nodes"] == "64"


def test_baseline_outside_the_space_is_trial_0_too(tmp_path: Path) -> None:
    study = opened(tmp_path, "model.layers={low: 2, high: 3}")
    rows = tried(study, 3)
    assert rows[0].fields["model.layers"] == 1
    assert min(row.fields["model.layers"] for row in rows[1:]) >= 2


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_same_seed_same_draws_also_when_opened_again(sampler: str, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    whole = tried(opened(folders[0], f"sampler={sampler}"), 14)
    for _ in range(14):
        tried(opened(folders[1], f"sampler={sampler}"), 1)
    again = opened(folders[1], f"sampler={sampler}").rows()
    assert [row.fields for row in again] == [row.fields for row in whole]
    assert len({row.fields["training.learning_rate"] for row in whole}) > 10


def test_trial_left_unfinished_is_the_next_one_with_the_same_draws(tmp_path: Path) -> None:
    study = opened(tmp_path)
    tried(study, 3)
    left, candidate = study.ask()
    trial, again = opened(tmp_path).ask()
    assert (trial.number, again) == (left.number, candidate)


def test_unfinished_baseline_is_the_next_one(tmp_path: Path) -> None:
    opened(tmp_path).ask()
    trial, candidate = opened(tmp_path).ask()
    assert (trial.number, candidate.fields["model.nodes"]) == (0, "64")


def test_what_diverged_or_failed_is_never_best(tmp_path: Path) -> None:
    study = opened(tmp_path)
    tried(study, 1)
    trial, candidate = study.ask()
    study.tell(trial, candidate, Outcome((Epoch(1.0, (9.0, 9.0)),), 1, "diverged", ()), 10, 0.1)
    trial, candidate = study.ask()
    study.tell(trial, candidate, ValueError("no\nmore"), 10, 0.1)
    trial, candidate = study.ask()
    study.tell(trial, candidate, scored(0.003, "pruned"), 10, 0.1)
    rows = study.rows()
    assert [row.state for row in rows] == ["complete", "diverged", "failed", "pruned"]
    assert rows[2].reason == "ValueError: no"
    best = study.best()
    assert best is not None
    assert best.number == 0


def test_of_equal_scores_the_smallest_network_is_best(tmp_path: Path) -> None:
    study = opened(tmp_path)
    for parameters in (30, 10, 20, 10):
        trial, candidate = study.ask()
        study.tell(trial, candidate, scored(0.003), parameters, 0.1)
    best = study.best()
    assert best is not None
    assert best.number == 1


def test_pruner_stops_what_falls_behind_and_never_the_baseline(tmp_path: Path) -> None:
    study = Study(read(["task=cat_species", "pruner=median"]), "study", tmp_path, FACTS, maximise=True)
    stopped = []
    for _ in range(7):
        trial, candidate = study.ask()
        score = 0.1 if trial.number in (0, 6) else 0.9
        judge = study.judge(trial, lambda *_: None)
        endings = [judge(epoch, Epoch(1.0, (score, score))) for epoch in range(1, 8)]
        stopped.append(any(endings))
        study.tell(trial, candidate, Outcome((Epoch(1.0, (score, score)),), 1, "complete", ()), 10, 0.1)
    assert stopped == [False] * 6 + [True]


def test_without_a_range_there_is_one_trial(tmp_path: Path) -> None:
    assert opened(tmp_path, "space=none").total == 1


def test_refuses_to_join_another_search_and_says_where_they_differ(tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(DataError, match="study=study holds another search; it differs in seed: 0 there, 1 here;"):
        opened(tmp_path, facts=FACTS | {"seed": "1"})


def test_row_keeps_every_fold_of_every_epoch(tmp_path: Path) -> None:
    study = opened(tmp_path)
    trial, candidate = study.ask()
    epochs = (Epoch(2.0, (0.1, 0.3)), Epoch(1.5, (0.4, 0.6)), Epoch(1.0, (0.3, 0.5)))
    study.tell(trial, candidate, Outcome(epochs, 2, "patience", ()), 10, 0.5)
    (row,) = opened(tmp_path).rows()
    assert (row.curve, row.epoch, row.folds, row.value) == (epochs, 2, (0.4, 0.6), 0.5)
    assert row.state == "complete"
