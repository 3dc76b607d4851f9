"""Several finished searches side by side: one scale, the smallest that is as good, and words that do not overclaim."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pipeline import compare
from pipeline.config.heads import SoftmaxConfig
from pipeline.config.metrics import METRICS
from pipeline.report.comparison import ComparedStudy, describe_comparison
from pipeline.report.network_selection import (
    count_layers,
    count_nodes,
    count_parameters,
    resample_one_se_trials,
    select_by_one_se_rule,
)
from pipeline.study.description import StudyDescription
from pipeline.study.trial_record import TrialRecord
from tests.conftest import TINY, picture_examples, question, search
from tests.report.test_report import row, tried


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_database: Path, finished: Path) -> Path:
    """A store with the breeds of cats, and with both ways to ask for an age."""
    folder = tmp_path_factory.mktemp("compared") / "mlruns"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    for task in ("cat_age_years", "cat_age_bands"):
        search(folder, f"task={task}", *TINY, "dataset.count=120", "budget.trials=2")
    shutil.copytree(finished, folder / "studies" / finished.name)
    return folder


def test_help_is_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 80


def test_table_words_and_both_pictures(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert compare.main(["tasks=[cat_species,cat_age_bands]", f"store={store}"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.split("written: ")[0].splitlines())) <= 80
    assert "The skill scores are" in said.replace("\n", " ")
    assert f"written: {store}/compare.html\nwritten: {store}/compare.png\n" in said
    with Image.open(store / "compare.png") as picture:
        assert picture.size[0] == 1_200
    text = (store / "compare.html").read_text()
    assert text.count("<h1>") == 1
    assert "cat_species and cat_age_bands: how many layers and nodes?" in text


def test_two_ways_to_ask_for_an_age_are_compared_in_years(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "ages.html"
    assert compare.main(["tasks=[cat_age_years,cat_age_bands]", f"output={output}", f"store={store}"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the winners have a mean absolute error of" in said
    assert said.count(" years (cat_age_") == 2
    assert "the 95 % interval of cat_age_years" in said
    assert "neither task can be called harder" in said
    assert output.is_file()
    assert [file.name for file in tmp_path.iterdir()] == ["ages.html"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["tasks=[cat_specis,cat_age_years]"], "got cat_specis (did you mean cat_species?)"),
        (["tasks=[cat_species]"], "tasks: two or more searches to compare, such as tasks=["),
        (["taks=[a,b]"], "taks: the keys are tasks=, studies=, output= and store=; got taks=[a,b] (did you mean"),
        (["tasks=[cat_species,cat_age_years]", "output=x.gif"], "output: a file that ends in .html or .png"),
        (["tasks=[cat_species,cat_age_years]", "output=no/x.png"], "output: a file in a folder that exists; got no/"),
        (["studies=[cat_species-0,x]"], "studies: the finished studies are"),
    ],
)  # fmt: skip
def test_mistake_is_told_in_a_line(
    typed: list[str], message: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main([*typed, f"store={store}"]) == 2
    assert message in capsys.readouterr().err


def test_store_without_a_finished_search_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["tasks=[a,b]", f"store={tmp_path}"]) == 2
    assert capsys.readouterr().err == f"store: no search has finished there yet; got {tmp_path}\n"


def compared(name: str, majority: float, *rows: TrialRecord) -> ComparedStudy:
    """A study with made-up trials."""
    study = tried(*rows)
    architecture = {"inputs": {"kind": "pictures"}, "head": {"kind": "softmax"}}
    described = StudyDescription(name, name, "accuracy", None, "", {}, {}, "drawn", "", {}, "", "", architecture)
    test = SimpleNamespace(metric="accuracy", others={})
    summary = SimpleNamespace(constant_baseline=SimpleNamespace(value=majority), test=test)
    return ComparedStudy(name, study, summary, described, select_by_one_se_rule(study), resample_one_se_trials(study))


EASY = compared("easy", 0.5, row(0, (0.98, 0.97, 0.99), 10, "4"), row(1, (0.7, 0.8, 0.9), 900, "90"))
HARD = compared("hard", 0.1, row(0, (0.2, 0.21, 0.2), 10, "4"), row(1, (0.6, 0.61, 0.59), 900, "90"))


def test_scale_is_the_share_of_the_way_from_a_constant_to_perfect() -> None:
    assert EASY.skill_score(0.5) == 0
    assert EASY.skill_score(1.0) == 1
    assert EASY.best_skill == pytest.approx(0.96)
    error = replace(
        EASY,
        table=replace(EASY.table, metric=METRICS["mean_absolute_error"]),
        summary=SimpleNamespace(constant_baseline=SimpleNamespace(value=4.0)),
    )
    assert error.skill_score(1.0) == pytest.approx(0.75)


def test_harder_task_that_needs_more_is_said_to() -> None:
    said = describe_comparison([EASY, HARD])
    assert "The skill scores are 56 % (hard) and 96 % (easy): hard is harder." in said
    assert "hard needs more nodes (90 against 4)." in said
    assert "hard needs as many hidden layers (1 against 1)." in said


def test_what_the_numbers_do_not_say_is_not_said() -> None:
    untried = compared("hard", 0.1, row(1, (0.6, 0.61, 0.59), 900, "90"))
    assert "Whether hard needs more nodes (90 against 4) is unknown: no trial of it is as small" in describe_comparison(
        [EASY, untried]
    )
    unclear = compared("hard", 0.1, row(0, (0.5, 0.61, 0.59), 10, "4"), row(1, (0.6, 0.55, 0.59), 900, "90"))
    assert "is unclear: the ranges over the resamples of the folds overlap" in describe_comparison([EASY, unclear])
    assert "neither task is clearly harder" in describe_comparison([EASY, replace(EASY, name="other")])


def test_constant_of_the_folds_knows_nothing_of_the_test_part() -> None:
    """Three of four rows outside it are of the first class, all rows in it of the second."""
    examples = picture_examples(60, classes=2)
    apart = replace(examples, test_mask=(examples.targets == 1) & (np.arange(60) < 40))
    asked = question(apart, SoftmaxConfig("softmax"), "accuracy")
    assert asked.constant_score == pytest.approx(0.75, abs=0.01)
    assert asked.task.head.constant_prediction(
        apart.targets[asked.splits.development], METRICS["accuracy"]
    ).tolist() == [
        1,
        0,
    ]


def test_constant_is_judged_by_the_rows_that_judge_the_networks() -> None:
    """A test part of the data set's own may have other shares; older descriptions tell nothing of the folds."""
    described = replace(EASY, description=replace(EASY.description, constant=0.6))
    assert described.skill_score(0.6) == 0
    assert described.best_skill == pytest.approx(0.95)
    assert replace(EASY, description=replace(EASY.description, constant=None)).skill_score(0.5) == 0


def test_harder_is_said_beyond_two_standard_errors_and_not_at_one() -> None:
    easy = compared("easy", 0.0, row(0, (0.86, 0.9, 0.94), 10))
    error = easy.skill_error(easy.table.best) * 2**0.5

    def against(distance: float) -> str:
        folds = tuple(score - distance * error for score in easy.table.best.fold_scores)
        return describe_comparison([easy, compared("hard", 0.0, row(0, folds, 10))])

    assert "neither task is clearly harder" in against(1.5)
    assert "hard is harder" in against(2.5)


def test_fewer_is_said_only_where_the_other_tried_something_as_small() -> None:
    low, high = (0.2, 0.21, 0.2), (0.6, 0.61, 0.59)
    hard = compared("hard", 0.1, row(0, high, 10, "4"), row(1, low, 900, "90"))
    untried = compared("easy", 0.1, row(0, (0.9, 0.91, 0.9), 900, "90"))
    unsaid = "Whether hard needs fewer nodes (4 against 90) is unknown: no trial of easy is as small."
    assert unsaid in describe_comparison([hard, untried])
    tried_both = compared("easy", 0.1, row(0, (0.9, 0.91, 0.9), 900, "90"), row(1, high, 10, "4"))
    assert "hard needs fewer nodes (4 against 90)." in describe_comparison([hard, tried_both])


def test_layers_and_nodes_behind_different_things_are_not_compared() -> None:
    behind = row(0, (0.6, 0.61, 0.59), 900, "90")
    convolved = compared(
        "hard", 0.1, replace(behind, hyperparameters={**behind.hyperparameters, "model.channels": "8-16"})
    )
    said = describe_comparison([EASY, convolved])
    assert "The hidden layers follow convolutions in hard and nothing in easy, so layers and nodes cannot" in said
    assert "nodes (" not in said
    assert describe_comparison([convolved, replace(convolved, name="other")]).count("needs as many") == 1
    architecture = {**EASY.description.architecture, "inputs": {"kind": "features", "backbone": "resnet18"}}
    features = replace(HARD, description=replace(HARD.description, architecture=architecture))
    assert "follow resnet18 in hard and nothing in easy" in describe_comparison([EASY, features])


def test_name_that_is_too_long_is_one_line(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    for word in (f"output={long}.png", f"output={long}/a.png", f"studies=[{long}]"):
        assert compare.main(["tasks=[cat_species,cat_age_years]", word, f"store={store}"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "xxx" in line
    assert compare.main(["tasks=[a,b]", f"store={long}"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_nodes_are_those_of_the_network_with_the_fewest_nodes_and_not_the_fewest_parameters() -> None:
    """Layers side by side have few nodes and many parameters."""
    same = (0.98, 0.97, 0.99)
    study = compared("easy", 0.5, row(0, same, 100, "64-64-64"), row(1, same, 900, "96"))
    assert study.resampled_range(count_nodes) == (96, 96)
    assert study.resampled_range(count_layers) == (1, 1)
    assert study.resampled_range(count_parameters) == (100, 100)
