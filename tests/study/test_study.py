"""The record of a search: what is asked, what is told, what goes on."""

import math
from functools import partial
from pathlib import Path

import pytest

from pipeline.config.ranges import Choice
from pipeline.config.reader import read_search
from pipeline.config.schema import Search
from pipeline.runtime.errors import UserError
from pipeline.study import proposal_batches
from pipeline.study.study import Study
from pipeline.study.trial_record import TrialRecord, trial_from_dict
from pipeline.training.epoch import EpochResult
from pipeline.training.trials import TrialResult

FACTS = {"seed": "0", "data": "abc"}


def searched(*words: str) -> Search:
    return read_search(["task=cat_species", "pruner=none", *words])


def opened(folder: Path, *words: str, facts: dict[str, str] = FACTS, batch: int = 1) -> Study:
    return Study(searched("budget.trials=100", *words), "study", folder, facts, batch_size=batch)


def scored(learning_rate: float, ending: str = "complete") -> TrialResult:
    """An outcome whose score is best at a learning rate of 0.003."""
    value = 1 - abs(math.log10(learning_rate / 0.003))
    return TrialResult((EpochResult(1.0, (value, value - 0.1)),), 1, ending, ())


def tried(study: Study, count: int) -> list[TrialRecord]:
    while count > 0:
        for proposal in study.ask()[:count]:
            study.tell(proposal, scored(proposal.candidate.training.learning_rate), 10, 0.1)
            count -= 1
    return study.finished_trials()


def told(study: Study, outcome: TrialResult | Exception, parameters: int = 10) -> None:
    (proposal,) = study.ask()
    study.tell(proposal, outcome, parameters, 0.1)


def test_baseline_is_trial_0(tmp_path: Path) -> None:
    study = opened(tmp_path)
    (row,) = tried(study, 1)
    assert row.hyperparameters == study.proposer.baseline.hyperparameters
    assert row.hyperparameters["model.nodes"] == "64"


def test_baseline_outside_the_space_is_trial_0_too(tmp_path: Path) -> None:
    study = opened(tmp_path, "model.layers={low: 2, high: 3}")
    rows = tried(study, 3)
    assert rows[0].hyperparameters["model.layers"] == 1
    assert min(row.hyperparameters["model.layers"] for row in rows[1:]) >= 2


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_same_seed_same_draws_also_when_opened_again(sampler: str, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    whole = tried(opened(folders[0], f"sampler={sampler}"), 14)
    for _ in range(14):
        tried(opened(folders[1], f"sampler={sampler}"), 1)
    again = opened(folders[1], f"sampler={sampler}").finished_trials()
    assert [row.hyperparameters for row in again] == [row.hyperparameters for row in whole]
    assert len({row.hyperparameters["training.learning_rate"] for row in whole}) > 10


def test_trial_left_unfinished_is_the_next_one_with_the_same_draws(tmp_path: Path) -> None:
    study = opened(tmp_path)
    tried(study, 3)
    assert opened(tmp_path).ask() == study.ask()


def test_unfinished_baseline_is_the_next_one(tmp_path: Path) -> None:
    opened(tmp_path).ask()
    (proposal,) = opened(tmp_path).ask()
    assert (proposal.number, proposal.candidate.hyperparameters["model.nodes"]) == (0, "64")


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_interrupted_batches_end_with_the_same_draws(sampler: str, tmp_path: Path) -> None:
    """A call ends after every third trial, in the middle of a batch, and the last of the batch ended first."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    words = f"sampler={sampler}", "budget.trials=25"
    whole = tried(opened(folders[0], *words, batch=4), 25)
    while len(opened(folders[1], *words, batch=4).finished_trials()) < 25:
        study = opened(folders[1], *words, batch=4)
        for proposal in reversed(study.ask()[-3:]):
            study.tell(proposal, scored(proposal.candidate.training.learning_rate), 10, 0.1)
    again = opened(folders[1], *words, batch=4).finished_trials()
    assert [row.number for row in again] == list(range(25))
    assert [row.hyperparameters for row in again] == [row.hyperparameters for row in whole]


def test_a_batch_cut_by_the_budget_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    whole = tried(opened(folders[0], batch=8), 20)
    tried(opened(folders[1], "budget.trials=12", batch=8), 12)
    assert [row.hyperparameters for row in tried(opened(folders[1], batch=8), 8)] == [
        row.hyperparameters for row in whole
    ]


def test_long_study_opened_again_draws_the_same(tmp_path: Path) -> None:
    """Past the length where the oldest trials are no longer looked at."""
    words = "budget.trials=400", "sampler=random"
    study = opened(tmp_path, *words)
    tried(study, 310)
    study.search = opened(tmp_path, "budget.trials=400").search
    study.proposer.search = study.search
    here = study.ask()
    again = opened(tmp_path, "budget.trials=400")
    assert again.ask() == here
    assert len(again.proposer.optuna_study.trials) == 25 + 260 + 1


def test_what_diverged_or_failed_is_never_best(tmp_path: Path) -> None:
    study = opened(tmp_path)
    tried(study, 1)
    told(study, TrialResult((EpochResult(1.0, (9.0, 9.0)),), 1, "diverged", ()))
    told(study, ValueError("no\nmore"))
    told(study, scored(0.003, "pruned"))
    rows = study.finished_trials()
    assert [row.state for row in rows] == ["complete", "diverged", "failed", "pruned"]
    assert rows[2].reason == "ValueError: no"
    for best in (study.best_trial, opened(tmp_path).best_trial):
        assert best is not None
        assert best.number == 0


def test_of_equal_scores_the_smallest_network_is_best(tmp_path: Path) -> None:
    study = opened(tmp_path)
    for parameters in (30, 10, 20, 10):
        told(study, scored(0.003), parameters)
    best = study.best_trial
    assert best is not None
    assert best.number == 1


def test_pruner_stops_what_falls_behind_and_never_the_baseline(tmp_path: Path) -> None:
    study = Study(read_search(["task=cat_species", "pruner=median"]), "study", tmp_path, FACTS)
    stopped = []
    for _ in range(7):
        (proposal,) = study.ask()
        score = 0.1 if proposal.number in (0, 6) else 0.9
        should_prune = partial(study.should_prune, proposal.number, lambda *_: None)
        curve = tuple(EpochResult(1.0, (score, score)) for _ in range(8))
        endings = [should_prune([score] * epoch) for epoch in range(1, 9)]
        stopped.append(any(endings))
        study.tell(proposal, TrialResult(curve, 1, "complete", ()), 10, 0.1)
    assert stopped == [False] * 6 + [True]


def test_trial_that_is_trained_again_is_judged_from_its_first_epoch(tmp_path: Path) -> None:
    study = Study(read_search(["task=cat_species", "pruner=median"]), "study", tmp_path, FACTS)
    good = EpochResult(1.0, (0.9, 0.9))
    for _ in range(5):
        told(study, TrialResult((good,) * 8, 1, "complete", ()))
    (proposal,) = study.ask()
    should_prune = partial(study.should_prune, proposal.number, lambda *_: None)
    for _ in range(2):
        assert [should_prune([0.1] * epoch) for epoch in range(1, 6)] == [False, False, False, True, True]


@pytest.mark.parametrize("pruner", ["median", "asha"])
def test_pruned_search_opened_again_prunes_the_same(pruner: str, tmp_path: Path) -> None:
    def ended(study: Study) -> None:
        (proposal,) = study.ask()
        should_prune, curve, ending = partial(study.should_prune, proposal.number, lambda *_: None), [], "complete"
        for epoch in range(1, 21):
            level = scored(proposal.candidate.training.learning_rate).value
            curve.append(EpochResult(1.0, (level * epoch / 20, level * epoch / 20)))
            if should_prune([each.mean_score for each in curve]):
                ending = "pruned"
                break
        study.tell(proposal, TrialResult(tuple(curve), len(curve), ending, ()), 10, 0.1)

    def search(folder: Path) -> Study:
        folder.mkdir(exist_ok=True)
        return Study(read_search(["task=cat_species", f"pruner={pruner}"]), "study", folder, FACTS)

    whole = search(tmp_path / "one")
    for _ in range(20):
        ended(whole)
        ended(search(tmp_path / "two"))
    again = search(tmp_path / "two")
    assert [(row.state, len(row.epoch_results), row.hyperparameters) for row in again.finished_trials()] == [
        (row.state, len(row.epoch_results), row.hyperparameters) for row in whole.finished_trials()
    ]
    assert {row.state for row in whole.finished_trials()} == {"complete", "pruned"}


@pytest.mark.parametrize("pruner", ["median", "asha"])
def test_trial_that_goes_on_from_a_checkpoint_is_pruned_where_it_would_have_been(pruner: str, tmp_path: Path) -> None:
    """The second study is killed in each trial's eleventh epoch; the one that goes on sees the whole curve first."""

    def run(folder: Path, *, killed: bool) -> list[int]:
        folder.mkdir()

        def opened_study() -> Study:
            return Study(read_search(["task=cat_species", f"pruner={pruner}"]), "study", folder, FACTS)

        study, lengths = opened_study(), []
        for _ in range(16):
            (proposal,) = study.ask()
            level = scored(proposal.candidate.training.learning_rate).value
            means = [level * epoch / 30 for epoch in range(1, 31)]
            should_prune, length = partial(study.should_prune, proposal.number, lambda *_: None), 30
            for epoch in range(1, 31):
                if killed and epoch == 11:
                    study = opened_study()
                    (proposal,) = study.ask()
                    should_prune = partial(study.should_prune, proposal.number, lambda *_: None)
                if should_prune(means[:epoch]):
                    length = epoch
                    break
            curve = tuple(EpochResult(1.0, (mean, mean)) for mean in means[:length])
            study.tell(proposal, TrialResult(curve, length, "complete" if length == 30 else "pruned", ()), 10, 0.1)
            lengths.append(length)
        return lengths

    whole = run(tmp_path / "whole", killed=False)
    assert run(tmp_path / "killed", killed=True) == whole
    assert min(whole) < 30


def test_without_a_range_there_is_one_trial(tmp_path: Path) -> None:
    assert opened(tmp_path, "space=none").n_trials == 1


def test_refuses_to_join_another_search_and_says_where_they_differ(tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(UserError, match="study=study holds another search; it differs in seed: 0 there, 1 here;"):
        opened(tmp_path, facts=FACTS | {"seed": "1"})


def test_of_long_facts_the_setting_that_differs_is_named(tmp_path: Path) -> None:
    def describe(options: tuple[str, ...]) -> str:
        settings = {"model.activation": Choice(options), "model.dropout": 0.0, "training.epochs": 20}
        return repr([(f"model.filler_{number}", number) for number in range(9)] + sorted(settings.items()))

    opened(tmp_path, facts=FACTS | {"space": describe(("relu", "tanh"))})
    with pytest.raises(UserError) as error:
        opened(tmp_path, facts=FACTS | {"space": describe(("relu", "gelu"))})
    there, here = str(error.value).partition("differs in space: ")[2].split(" there, ")
    assert there.startswith("('model.activation', Choice(options=('relu', 'tanh'))")
    assert here.startswith("('model.activation', Choice(options=('relu', 'gelu'))")


def test_another_kind_of_machine_is_told_of_and_not_refused(tmp_path: Path) -> None:
    assert opened(tmp_path).storage.update_environment({"threads": "2", "workers": "1"}) == []
    again = opened(tmp_path).storage
    assert again.update_environment({"threads": "2", "workers": "1"}) == []
    assert again.update_environment({"threads": "4", "workers": "1"}) == ["threads: 2 then, 4 now"]


def test_row_keeps_every_fold_of_every_epoch(tmp_path: Path) -> None:
    epochs = (EpochResult(2.0, (0.1, 0.3)), EpochResult(1.5, (0.4, 0.6)), EpochResult(1.0, (0.3, 0.5)))
    told(opened(tmp_path), TrialResult(epochs, 2, "patience", ()))
    (row,) = opened(tmp_path).finished_trials()
    assert (row.epoch_results, row.epoch, row.fold_scores, row.value) == (epochs, 2, (0.4, 0.6), 0.5)
    assert row.state == "complete"


def test_repeats_do_not_make_the_rows_more(tmp_path: Path) -> None:
    """Twice as often the same scores are as sure as once."""
    once, twice = EpochResult(1.0, (0.4, 0.5, 0.6)), EpochResult(1.0, (0.4, 0.5, 0.6) * 2)
    for place in ("once", "twice"):
        (tmp_path / place).mkdir()
    told(opened(tmp_path / "once"), TrialResult((once,), 1, "complete", ()))
    told(opened(tmp_path / "twice", "cv.repeats=2"), TrialResult((twice,), 1, "complete", ()))
    (first,), (second,) = (
        opened(tmp_path / "once").finished_trials(),
        opened(tmp_path / "twice", "cv.repeats=2").finished_trials(),
    )
    assert first.standard_error == pytest.approx(0.1 / math.sqrt(3))
    assert (second.folds_per_repeat, len(second.fold_scores)) == (3, 6)
    assert second.standard_error == pytest.approx(math.sqrt(0.008 / 3))


def test_record_from_before_repeats_were_kept_is_read(tmp_path: Path) -> None:
    study = opened(tmp_path)
    told(study, scored(0.01))
    kept = dict(study.storage.frozen_trials[0].user_attrs["record"])
    del kept["repeats"]
    assert trial_from_dict(kept) == study.finished_trials()[0]


def test_batches_take_every_number_once_and_the_baseline_alone() -> None:
    for size in (1, 3, 16):
        found = [proposal_batches.batch_numbers(number, size) for number in range(100)]
        assert all(number in batch for number, batch in enumerate(found))
        assert found[0] == range(1)
        assert {len(batch) for batch in found[1:]} == {size}


def test_several_are_drawn_at_a_time_only_where_it_costs_nothing_or_was_asked_for() -> None:
    default, blind = (
        read_search(["task=cat_species"]),
        read_search(["task=cat_species", "sampler=random", "pruner=none"]),
    )
    few = read_search(["task=cat_species", "model.shape=same", "model.nodes={choice: [32, 64]}"])
    assert (
        proposal_batches.choose_batch_size(default, 1, on_gpu=False)
        == proposal_batches.choose_batch_size(few, 1, on_gpu=False)
        == 1
    )
    assert proposal_batches.choose_batch_size(blind, 1, on_gpu=False) == 16
    assert proposal_batches.choose_batch_size(default, 2, on_gpu=False) == 4
    assert (
        proposal_batches.choose_batch_size(default, 1, on_gpu=True),
        proposal_batches.choose_batch_size(few, 1, on_gpu=True),
    ) == (1, 8)
