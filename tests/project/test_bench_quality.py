"""The benchmark of quality: halves and splits that hide what they should, and a report that counts right."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error

from bench.quality.__main__ import main
from bench.quality.comparison import Comparison
from bench.quality.environment import REQUIREMENTS
from bench.quality.job import measure
from bench.quality.ours import read_predictions
from bench.quality.peers import impute_numbers
from bench.quality.readers import read_table
from bench.quality.report import format_markdown
from bench.quality.runner import plan_jobs
from bench.quality.scores import Predictions, score
from bench.quality.splits import SplitFiles, choose_test_rows
from bench.quality.tables import SEEN, TABLES, PublicTable, choose_half

GROUPED = PublicTable("grouped", "drawn:grouped", "MIT", "y", "numbers", 400, "school")


def line(table: str, label: str, value: float, seed: int = 0) -> dict[str, Any]:
    is_number = TABLES[table].target_kind == "numbers"
    names = ("mean_absolute_error", "root_mean_squared_error") if is_number else ("accuracy", "log_loss")
    return {"table": table, "seed": seed, "label": label, "scores": dict.fromkeys(names, value), "cpu_seconds": 2.0}


def test_each_half_has_both_kinds_of_target_and_what_was_seen_is_in_the_first() -> None:
    counts = Counter((choose_half(table), table.target_kind) for table in TABLES.values() if table.name not in SEEN)
    assert set(counts.values()) == {5}
    assert {choose_half(TABLES[name]) for name in SEEN} == {"first"}
    assert len(TABLES) >= 15


def test_small_tables_of_the_first_half_come_first_and_one_seed_after_the_other() -> None:
    jobs = plan_jobs(["second", "first"], ["trees"], [0, 1], 1_000)
    assert [(job.table, job.seed) for job in jobs[:4]] == [
        ("diabetes", 0),
        ("college", 0),
        ("diabetes", 1),
        ("college", 1),
    ]
    assert {choose_half(TABLES[job.table]) for job in jobs[4:]} == {"second"}
    assert all(TABLES[job.table].rows <= 1_000 for job in jobs)


def test_groups_are_never_split_and_a_seed_gives_the_same_rows() -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"x": generator.normal(size=400), "school": np.arange(400) // 10, "y": 0.0})
    first = choose_test_rows(frame, GROUPED, 3)
    assert first.sum() == 100
    assert not set(frame["school"][first]) & set(frame["school"][~first])
    assert np.array_equal(first, choose_test_rows(frame, GROUPED, 3))
    assert not np.array_equal(first, choose_test_rows(frame, GROUPED, 4))


def test_classes_have_the_same_shares_in_both_parts_and_names_that_are_no_numbers(tmp_path: Path) -> None:
    split = SplitFiles(tmp_path, TABLES["digits"])
    split.write(read_table(split.table), 0)
    _, targets, _ = split.read_features()
    answers = split.read_answers()
    assert set(targets) == set(answers) == {f"class_{digit}" for digit in range(10)}
    shares = targets.value_counts(normalize=True) - answers.value_counts(normalize=True)
    assert shares.abs().max() < 0.003


def test_trees_get_the_score_of_scikit_learn_and_the_test_file_has_no_target(tmp_path: Path) -> None:
    split = SplitFiles(tmp_path, TABLES["diabetes"])
    split.write(read_table(split.table), 1)
    train = pd.read_csv(split.train)
    test = pd.read_csv(split.test)
    assert (len(train), len(test)) == (331, 111)
    assert "target" not in test.columns
    model = HistGradientBoostingRegressor(random_state=1).fit(train[test.columns], train["target"])
    result = measure("trees", split, 1)
    assert result["scores"]["mean_absolute_error"] == pytest.approx(
        mean_absolute_error(split.read_answers(), model.predict(test))
    )
    assert list(result["versions"]) == ["scikit-learn"]


def test_missing_numbers_get_the_training_median_and_a_flag() -> None:
    train = pd.DataFrame({"a": [1.0, np.nan, 3.0, 4.0], "b": 1.0})
    test = pd.DataFrame({"a": [np.nan], "b": [np.nan]})
    filled, filled_test = impute_numbers(train, test)
    assert filled["a"].tolist() == [1, 3, 3, 4]
    assert filled_test.to_dict("records") == [{"a": 3.0, "b": 1.0, "a_missing": 1.0}]


def test_unseen_levels_are_missing_and_categories_are_those_of_the_training_rows(tmp_path: Path) -> None:
    split = SplitFiles(tmp_path, PublicTable("drawn", "drawn:drawn", "MIT", "y", "numbers", 4, categories=("zip",)))
    split.train.write_text("zip,color,y\n7,red,1\n8,blue,2\n")
    split.test.write_text("zip,color\n9,red\n")
    train, _, test = split.read_features()
    assert train["zip"].cat.categories.tolist() == ["7", "8"]
    assert test["zip"].isna().all()
    assert test["color"].tolist() == ["red"]


def test_one_probability_of_two_classes_becomes_two(tmp_path: Path) -> None:
    file = tmp_path / "predictions.jsonl"
    file.write_text("".join(json.dumps({"answer": "no", "probabilities": {"yes": p}}) + "\n" for p in (0.25, 0.5)))
    predictions = read_predictions(file, ["no", "yes"])
    assert predictions.classes == ("no", "yes")
    assert predictions.probabilities is not None
    assert predictions.probabilities.tolist() == [[0.75, 0.25], [0.5, 0.5]]
    assert predictions.answers.tolist() == ["no", "no"]


def test_probabilities_are_scored_in_any_order_of_the_classes() -> None:
    answers = pd.Series(["a", "b"])
    probabilities = np.array([[0.1, 0.9], [0.8, 0.2]])
    scores = score(answers, Predictions(np.array(["a", "b"], object), probabilities, ("b", "a")))
    assert scores["log_loss"] == pytest.approx(-np.log([0.9, 0.8]).mean())
    assert scores["accuracy"] == 1


def test_gains_are_points_of_accuracy_and_percent_of_the_error() -> None:
    lines = [line("cells", "trees", 0.8), line("cells", "ours", 0.83)]
    lines += [line("wage", "trees", 20.0), line("wage", "ours", 19.0)]
    comparison = Comparison.from_lines(lines, ["ours", "trees", "tabm"])
    assert comparison.labels == ("ours", "trees")
    assert comparison.gains(TABLES["cells"], "ours") == [pytest.approx(3)]
    assert comparison.gains(TABLES["wage"], "ours") == [pytest.approx(5)]


def test_ranks_count_only_rows_that_all_methods_predicted() -> None:
    lines = [line("wage", label, value) for label, value in (("ours", 1.0), ("trees", 2.0), ("tabm", 2.0))]
    lines += [line("wage", "trees", 0.5, seed=1), line("wage", "ours", 1.0, seed=1)]
    ranks, count = Comparison.from_lines(lines, ["ours", "trees", "tabm"]).mean_ranks("first")
    assert count == 1
    assert ranks == {"ours": 1.0, "trees": 2.5, "tabm": 2.5}


def test_report_has_a_row_for_each_table_with_gain_spread_and_seconds() -> None:
    lines = [line("wage", "trees", 20.0, seed) for seed in range(3)]
    lines += [line("wage", "ours", 18.0 + seed, seed) for seed in range(3)]
    comparison = Comparison.from_lines(lines, ["ours", "trees"])
    text = format_markdown(comparison, comparison)
    assert "| wage | 3,000 | +5.0 ± 5.0 % | 20 | 2 / 2 |" in text
    assert "| mean rank, 3 splits |  | 1.17 | 1.83 |  |" in text


def test_report_draws_a_figure_from_the_results_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line("wage", "trees", 20.0), line("wage", "ours", 19.0), line("cells", "trees", 0.8)]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    figure = tmp_path / "quality.png"
    assert main(["report", f"folder={tmp_path}", f"figure={figure}"]) == 0
    assert "| cells | 2,019 | - | 0.8 | - / 2 |" in capsys.readouterr().out
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runs"], "the first argument is one of run, report, tables; got runs"),
        (["run", "half=third"], "half: one of first, second; got third"),
        (["run", "method=forest"], "method: one of trees, catboost, realmlp, tabm, realmlp_folds, ours; got forest"),
        (["run", "budget.trials=5"], "label: names the product with other settings; got budget.trials=5"),
    ],
)
def test_mistake_is_refused_in_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(message)


def test_each_package_of_the_peers_is_pinned_and_no_host_is_named() -> None:
    lines = [text for text in REQUIREMENTS.read_text().splitlines() if not text.startswith("#")]
    assert [text for text in lines if not re.match(r"[\w-]+==[\w.]+( ; .*)?$", text)] == []
