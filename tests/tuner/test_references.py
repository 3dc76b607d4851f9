"""References: scikit-learn's models on the same folds and the same test rows."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error

from pipeline.config.reader import read_search
from pipeline.study.problem import build_problem
from pipeline.tuner import references
from pipeline.tuner.references import REFERENCE_KINDS, ReferenceTooLargeError, ReferenceTrainer
from tests.conftest import TINY, search

TABLE_TINY = tuple(word for word in TINY if not word.startswith("dataset.size"))
TASKS = ("cat_species", "house_price", "cat_age_bands", "animals_together", "cat_presence", "cat_age_years")


@pytest.mark.parametrize("task", TASKS)
def test_references_are_scored_on_the_folds_and_the_test_rows_of_the_search(task: str, store: Path) -> None:
    folder = search(
        store,
        f"task={task}",
        *(TABLE_TINY if task == "house_price" else TINY),
        "budget.trials=1",
        "references=[trees,linear]",
    )
    summary = json.loads((folder / "summary.json").read_text())
    names = [each["name"] for each in summary["references"]]
    assert names == (["trees", "linear"] if task == "house_price" else ["linear"])
    for reference in summary["references"]:
        assert len(reference["cross_validation"]["folds"]) == 3
        assert reference["cross_validation"]["metric"] == summary["test"]["metric"]
        assert reference["test"]["low"] <= reference["test"]["value"] <= reference["test"]["high"]


def test_trees_are_those_of_scikit_learn(tmp_path: Path) -> None:
    problem = build_problem(read_search(["task=house_price", *TABLE_TINY, f"store={tmp_path}"]))
    trained = ReferenceTrainer(problem, 0).train(REFERENCE_KINDS["trees"], 60)
    table = problem.examples.inputs
    codes = np.where(table.codes < 0, np.nan, table.codes)
    inputs = np.concatenate([table.numbers, codes], axis=1).astype(np.float32)
    is_category = np.arange(inputs.shape[1]) >= table.numbers.shape[1]
    model = HistGradientBoostingRegressor(loss="absolute_error", categorical_features=is_category, random_state=0)
    development = problem.splits.development
    model.fit(inputs[development], problem.examples.targets[development])
    test = problem.splits.test
    expected = mean_absolute_error(problem.examples.targets[test], model.predict(inputs[test]))
    assert mean_absolute_error(problem.examples.targets[test], trained.test[:, 0].numpy()) == pytest.approx(expected)


def test_reference_that_would_take_too_long_is_not_trained(tmp_path: Path) -> None:
    problem = build_problem(read_search(["task=house_price", *TABLE_TINY, f"store={tmp_path}"]))
    with pytest.raises(ReferenceTooLargeError, match=r"it would take about \d+ s; the limit is 0 s"):
        ReferenceTrainer(problem, 0).train(REFERENCE_KINDS["trees"], 0.0)


def test_no_references_are_trained_if_none_are_named(store: Path) -> None:
    folder = search(store, "task=house_price", *TABLE_TINY, "budget.trials=1", "references=[]")
    assert json.loads((folder / "summary.json").read_text())["references"] == []


def test_reference_whose_inputs_would_take_too_much_memory_is_not_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = build_problem(read_search(["task=cat_species", *TINY, f"store={tmp_path}"]))
    monkeypatch.setattr(references, "MAX_MATRIX_VALUES", 1_000)
    with pytest.raises(ReferenceTooLargeError, match=r"its inputs would take 0\.0 GiB; the limit is 0\.0 GiB"):
        ReferenceTrainer(problem, 0).train(REFERENCE_KINDS["linear"], 60)


@pytest.mark.parametrize("kept", ["numbers", "categories"])
def test_tables_without_numbers_or_without_categories_have_references(kept: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = rng.integers(0, 4, (120, 2))
    lines = [[f"{value}" if kept == "numbers" else "abcd"[value] for value in row] for row in columns]
    prices = columns.sum(1) + rng.normal(0, 0.1, 120)
    rows = [",".join([*line, f"{price:.3f}"]) for line, price in zip(lines, prices, strict=True)]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,price", *rows]) + "\n")
    words = ["task=table", f"dataset.file={tmp_path}/table.csv", "dataset.target=price", f"store={tmp_path}/store"]
    trainer = ReferenceTrainer(build_problem(read_search([*words, "cv.folds=3", "compute=cpu"])), 0)
    for kind in REFERENCE_KINDS.values():
        errors = trainer.train(kind, 60).test[:, 0].numpy() - trainer.targets[trainer.problem.splits.test]
        assert np.abs(errors).mean() < 1
