"""Final models: a refit, or the mean of the networks that cross-validation trained."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.artifact import model_files
from pipeline.artifact.architecture import build_architecture
from pipeline.artifact.model_files import TrainedModel
from pipeline.config.reader import read_search
from pipeline.inference.module import build_module
from pipeline.inference.onnx_export import write_onnx
from pipeline.study.problem import build_problem
from pipeline.tuner import out_of_fold
from pipeline.tuner.greedy_ensemble import select_members
from tests.conftest import TINY, search

TABLE_TINY = tuple(word for word in TINY if not word.startswith("dataset.size"))
TASKS = {
    "pixels": ("task=cat_species",),
    "table": ("task=house_price",),
    "bands": ("task=cat_age_bands", "metric=mean_absolute_error"),
    "convolutions": ("task=day_night", "model.backbone=convolutions"),
}


def read_summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize("task", TASKS)
def test_fold_average_is_the_mean_of_the_fold_networks(task: str, store: Path, tmp_path: Path) -> None:
    words = (*TASKS[task], *(TABLE_TINY if task == "table" else TINY), "budget.trials=2", "champion=fold_average")
    folder = search(store, *words)
    model = model_files.load_trained_model(folder / "model")
    problem = build_problem(read_search([*words, f"store={store}"]))
    raw = problem.examples.inputs.take(problem.splits.test)
    predictions = model.predict(raw)
    assert len(model.networks) == 3
    single = [_only(model, index).predict(raw) for index in range(3)]
    torch.testing.assert_close(predictions, torch.stack(single).mean(0), rtol=1e-6, atol=1e-6)
    assert not torch.equal(single[0], single[1])
    targets = problem.task.targets[torch.from_numpy(problem.splits.test)]
    summary = read_summary(folder)
    score = problem.task.head.score(problem.task.metric, predictions, targets, model.target_constants)
    assert summary["test"]["value"] == pytest.approx(score)
    assert summary["champion"] == {"kind": "fold_average", "networks": 3}
    assert summary["parameters"] == 3 * _only(model, 0).architecture.parameters
    file, difference = write_onnx(build_module(model, None, store / "cache"), tmp_path)
    assert file.stat().st_size > 0
    assert difference <= 1e-5


def _only(model: TrainedModel, index: int) -> TrainedModel:
    """Return the model that is one of the networks."""
    architecture = model.architecture
    network = model.networks[index]
    single = build_architecture(architecture.task, architecture.inputs, network.model, architecture.head)
    return TrainedModel.from_network(single, network.weights, network.input_constants, network.target_constants)


def test_fold_networks_that_are_not_saved_are_trained_again_to_the_same_weights(store: Path) -> None:
    words = ("task=cat_species", *TINY, "budget.trials=3", "champion=fold_average")
    folder = search(store, *words)
    files = {file.name: file.read_bytes() for file in (folder / "model").iterdir()}
    best = read_summary(folder)["best"]["number"]
    assert {each.name for each in (folder / "leader").iterdir()} == {"0", str(best)}
    shutil.rmtree(folder / "leader")
    shutil.rmtree(folder / "model")
    (folder / "summary.json").unlink()
    search(store, *words)
    assert {file.name: file.read_bytes() for file in (folder / "model").iterdir()} == files


def test_another_champion_of_a_finished_study_trains_no_trial_and_counts_as_an_evaluation(store: Path) -> None:
    words = ("task=cat_species", *TINY, "budget.trials=2")
    folder = search(store, *words)
    first = read_summary(folder)
    table = (folder / "trials.csv").read_bytes()
    assert search(store, *words, "champion=fold_average") == folder
    second = read_summary(folder)
    assert (folder / "trials.csv").read_bytes() == table
    assert (first["champion"]["kind"], second["champion"]["kind"]) == ("refit", "fold_average")
    assert (first["test"]["opened"], second["test"]["opened"]) == (1, 2)
    assert first["best"]["cross_validation"] == second["best"]["cross_validation"]


def test_ensemble_predicts_the_weighted_mean_of_its_members(store: Path, tmp_path: Path) -> None:
    folder = search(store, "task=cat_species", *TINY, "budget.trials=6", "champion=ensemble", "training.epochs=6")
    model = model_files.load_trained_model(folder / "model")
    ensemble = model.architecture.ensemble
    summary = read_summary(folder)
    assert len(list((folder / "out_of_fold").iterdir())) == 6
    assert ensemble[0].model == model.architecture.model
    assert summary["champion"] == {"kind": "ensemble", "networks": 3 * len(ensemble)}
    alone = search(store, "task=cat_species", *TINY, "budget.trials=6", "champion=fold_average", "training.epochs=6")
    assert alone == folder
    assert read_summary(alone)["baseline"]["test"] == summary["baseline"]["test"]
    assert sum(each.weight for each in ensemble) <= 8
    assert sum(model.architecture.network_weights) == pytest.approx(1)
    raw = build_problem(read_search(["task=cat_species", *TINY, f"store={store}"])).examples.inputs.take(np.arange(9))
    expected = sum(
        weight * _only(model, index).predict(raw) for index, weight in enumerate(model.architecture.network_weights)
    )
    torch.testing.assert_close(model.predict(raw), expected, rtol=1e-6, atol=1e-6)
    assert write_onnx(build_module(model, None, store / "cache"), tmp_path)[1] <= 1e-5


def test_damaged_out_of_fold_predictions_are_left_out(tmp_path: Path) -> None:
    file = out_of_fold.predictions_file(tmp_path, 3)
    predictions = [torch.rand(4, 2), torch.rand(5, 2)]
    out_of_fold.save_out_of_fold(file, predictions)
    assert all(map(torch.equal, out_of_fold.load_out_of_fold(file), predictions))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert out_of_fold.load_out_of_fold(file) == []
    assert out_of_fold.load_out_of_fold(tmp_path / "none") == []


def test_greedy_selection_takes_the_mean_that_scores_best() -> None:
    """Two trials that err in opposite directions are better together than the best trial alone."""
    target = torch.zeros(4)
    predictions = {0: [torch.full((4,), 0.5)], 1: [torch.full((4,), -0.6)], 2: [torch.full((4,), 9.0)]}
    chosen = select_members(predictions, lambda folds: -float((folds[0] - target).abs().mean()), first=0)
    assert set(chosen) == {0, 1}
    mean = sum(count * float(predictions[number][0][0]) for number, count in chosen.items()) / chosen.total()
    assert abs(mean) <= 0.05


def test_selection_that_gains_nothing_is_the_best_trial_alone() -> None:
    predictions = {4: [torch.zeros(3)], 7: [torch.ones(3)]}
    assert select_members(predictions, lambda folds: -float(folds[0].abs().sum()), first=4) == {4: 1}
