"""The whole way: every task searched for real on tiny data, resumed, repeated, refused."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest
import torch

from pipeline.artifact import model_files
from pipeline.config.compose import list_options
from pipeline.config.own_data import OWN_DATA_TASKS
from pipeline.report import build
from pipeline.report.comparison import ComparedStudy
from pipeline.runtime import seeds
from pipeline.runtime.arguments import RESUME_MESSAGE
from pipeline.runtime.signals import SearchInterrupted
from pipeline.search import main
from pipeline.study import proposal_batches
from pipeline.study.problem import NUMERICS_VERSION
from pipeline.study.storage import TrialStorageReader
from pipeline.training.engine import batching_rule
from pipeline.training.fit import cross_validate_trials
from pipeline.training.trials import TrialResult, TrialSpec
from pipeline.tuner import executors
from pipeline.tuner.lock import lock_study
from tests.conftest import TINY, search

SUMMARY_KEYS = {
    "task": None, "study": None, "seed": None, "fingerprint": None,
    "trials": {"total", "complete", "pruned", "failed", "diverged"},
    "baseline": {"overrides", "cross_validation", "test"},
    "best": {"number", "overrides", "epoch", "cross_validation"},
    "test": {"metric", "value", "low", "high", "level", "rows", "opened", "others"},
    "majority": {"metric", "value"},
    "parameters": None,
    "files": {"architecture", "parameters", "architecture_sha256", "parameters_sha256"},
    "seconds": {"total", "training", "tracking", "deciding"},
    "versions": None, "device": None,
    "champion": {"kind", "networks"}, "references": None,
}  # fmt: skip


def read_summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def tiny(task: str) -> list[str]:
    sizes = ["dataset.count=120", "training.epochs=3", "cv.folds=3", "budget.trials=3", "compute=cpu"]
    return [f"task={task}", *sizes, *(["dataset.size=8"] if task != "house_price" else [])]


@pytest.mark.parametrize("task", sorted({*list_options("task", None)} - {*OWN_DATA_TASKS}))
def test_every_task_is_searched_from_end_to_end(task: str, store: Path) -> None:
    folder = search(store, *tiny(task))
    summary = read_summary(folder)
    assert (summary["task"], summary["trials"]["total"]) == (task, 3)
    assert summary["test"]["low"] <= summary["test"]["value"] <= summary["test"]["high"]
    assert summary["test"]["opened"] == 1
    assert model_files.load_trained_model(folder / "model").architecture.task == task


def test_summary_has_the_keys_that_others_read(finished: Path) -> None:
    summary = read_summary(finished)
    assert set(summary) == set(SUMMARY_KEYS)
    for key, inner in SUMMARY_KEYS.items():
        if inner:
            assert set(summary[key]) == inner, key
    assert set(summary["best"]["cross_validation"]) == {"metric", "direction", "mean", "standard_error", "folds"}
    assert set(summary["baseline"]["test"]) == {"value", "low", "high"}
    for name in ("architecture", "parameters"):
        assert (finished / summary["files"][name]).is_file()


def test_trials_csv_is_the_table_of_the_summary(finished: Path) -> None:
    header, *lines = [line.split(",") for line in (finished / "trials.csv").read_text().splitlines()]
    assert header[:4] == ["number", "state", "value", "epoch"]
    assert header[-3:] == ["fold_0", "fold_1", "fold_2"]
    best = read_summary(finished)["best"]
    row = dict(zip(header, lines[best["number"]], strict=True))
    assert float(row["value"]) == best["cross_validation"]["mean"]
    assert [float(row[f"fold_{fold}"]) for fold in range(3)] == best["cross_validation"]["folds"]


def test_same_seed_gives_same_table_byte_for_byte(store: Path, tmp_path: Path) -> None:
    words = ["task=cat_species", *TINY, "budget.trials=5"]
    one = search(store, *words)
    two = search(tmp_path / "other", *words)
    assert (one / "trials.csv").read_bytes() == (two / "trials.csv").read_bytes()
    assert one.name == two.name
    other = search(store, *words, "seed=1")
    assert (one / "trials.csv").read_bytes() != (other / "trials.csv").read_bytes()


def test_trials_side_by_side_leave_the_table_of_one_after_the_other(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["task=day_night", *TINY, "sampler=random", "pruner=none", "model.nodes={choice: [4, 8]}"]
    words += ["model.layers={low: 0, high: 1}", "budget.trials=12", "training.patience=1"]
    together = search(store, *words)
    monkeypatch.setattr(proposal_batches, "INDEPENDENT_BATCH_SIZE", 1)
    monkeypatch.setattr(batching_rule, "MAX_TRIALS_PER_CPU_STACK", 1)
    alone = search(tmp_path / "other", *words)
    assert (together / "trials.csv").read_bytes() == (alone / "trials.csv").read_bytes()


def test_what_one_trial_dies_of_does_not_take_those_beside_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of memory without a GPU is made up: a stack of more than one trial does not fit, and one trial never does."""
    sizes: list[int] = []

    def scarce(task: object, folds: object, trials: list[TrialSpec], keeper: object) -> list[TrialResult]:
        sizes.append(len(trials))
        seed = seeds.derive_seed(0, 5)
        if len(trials) > 2 or any(trial.seeds.trial == seed for trial in trials):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return cross_validate_trials(task, folds, trials, keeper)

    monkeypatch.setattr(executors, "cross_validate_trials", scarce)
    words = ["sampler=random", "pruner=none", "model.nodes=[4]", "budget.trials=9"]
    folder = search(store, "task=day_night", *TINY, *words)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["trials"] == {"total": 9, "complete": 8, "pruned": 0, "failed": 1, "diverged": 0}
    assert sizes[:3] == [1, 8, 4]
    failed = [line for line in (folder / "trials.csv").read_text().splitlines() if ",failed," in line]
    assert [line.split(",")[0] for line in failed] == ["5"]


def test_finished_search_says_how_to_ask_for_more_and_goes_on(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["task=cat_species", *TINY]
    folder = search(store, *words, "budget.trials=2")
    before = (folder / "trials.csv").read_text()
    capsys.readouterr()
    search(store, *words, "budget.trials=2")
    assert "Finished. For more trials, run the same command with budget.trials=4." in capsys.readouterr().out
    search(store, *words, "budget.trials=4")
    after = (folder / "trials.csv").read_text()
    assert after.startswith(before)
    assert len(after.splitlines()) == 5


def test_search_in_two_calls_equals_one_call(store: Path, tmp_path: Path) -> None:
    words = ["task=cat_species", *TINY]
    search(store, *words, "budget.trials=2")
    parts = search(store, *words, "budget.trials=6")
    whole = search(tmp_path / "whole", *words, "budget.trials=6")
    assert (parts / "trials.csv").read_bytes() == (whole / "trials.csv").read_bytes()


def test_winner_as_overrides_runs_as_it_is(finished: Path, store: Path) -> None:
    summary = read_summary(finished)
    again = read_summary(search(store, *summary["best"]["overrides"]))
    assert again["trials"]["total"] == 1
    assert again["parameters"] == summary["parameters"]
    architecture = model_files.load_trained_model(finished / "model").architecture.model
    assert (
        model_files.load_trained_model(store / "studies" / again["study"] / "model").architecture.model == architecture
    )


def test_every_trial_diverged_ends_without_a_model(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["training.optimizer=sgd", "training.learning_rate=100", "model.nodes=[64,64,64]", "budget.trials=2"]
    folder = search(
        store,
        "task=cat_age_years",
        *TINY,
        *words,
        "training.epochs=20",
        "head.output=identity",
        "head.loss=l2",
        expected=1,
    )
    assert "no trial has a score, so there is no model; the trials ended with" in capsys.readouterr().err
    assert not (folder / "model").exists()


def command(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "pipeline.search", *words]
    return subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


def test_command_works_from_any_directory_and_keeps_its_store_there(tmp_path: Path) -> None:
    done = command("task=day_night", *TINY, "budget.trials=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "synthetic images; for your own: dataset=folder dataset.root=..." in done.stdout
    assert list((tmp_path / "mlruns" / "studies").glob("day_night-????????/summary.json"))
    assert done.stderr == ""


def test_mistakes_are_told_without_the_slow_libraries(tmp_path: Path) -> None:
    code = (
        "import sys; from pipeline.search import main; code = main();"
        "print(code, *(name in sys.modules for name in ('torch', 'mlflow', 'pandas')))"
    )
    arguments = [sys.executable, "-c", code, "task=cat_specie", "model.nodse=3"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "2 False False False\n"
    assert "did you mean cat_species?" in done.stderr
    assert "did you mean model.nodes?" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_fits_on_a_screen() -> None:
    done = command("--help")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("  python -m pipeline.search") for line in lines) == 3


def test_cfg_job_shows_the_configuration_with_replaced_ranges() -> None:
    done = command("task=cat_species", "model.nodes=[64,32]", "--cfg", "job")
    assert done.returncode == 0
    assert "nodes:\n  - 64\n  - 32\n" in done.stdout


def test_search_that_was_ended_before_its_new_winner_was_crowned_crowns_it(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["task=cat_species", *TINY]
    folder = search(store, *words, "budget.trials=1")

    def stopped(*_: object) -> None:
        raise SearchInterrupted(143)

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.tuner.search.build_summary", stopped)
        search(store, *words, "budget.trials=4", expected=143)
    first = json.loads((folder / "summary.json").read_text())["seconds"]["total"]
    stopped_too = TrialStorageReader(folder, folder.name).optuna_study.user_attrs["seconds"]["total"]
    assert stopped_too > first
    search(store, *words, "budget.trials=4")
    crowned = json.loads((folder / "summary.json").read_text())
    assert crowned["trials"]["total"] == 4
    assert crowned["seconds"]["total"] > stopped_too


def test_multirun_runs_each_job(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store.parent)
    with mock.patch.object(build, "build_report"):
        assert main(["-m", "task=day_night", "seed=0,1", *TINY, "budget.trials=1", "model.nodes=[8]"]) == 0
    assert len(list((store / "studies").iterdir())) == 2


def said_at_the_end(process: subprocess.Popen[str]) -> str:
    """What a process that was told to stop says; one that does not stop is not left behind."""
    try:
        return process.communicate(timeout=60)[1]
    finally:
        process.kill()


def test_ctrl_c_is_one_line_and_the_same_command_goes_on(tmp_path: Path) -> None:
    words = ["task=cat_species", *TINY, "budget.trials=400"]
    arguments = [sys.executable, "-m", "pipeline.search", *words]
    process = subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("trial   1"):
        assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    errors = said_at_the_end(process)
    assert process.returncode == 130
    assert errors.strip() == RESUME_MESSAGE
    (folder,) = (tmp_path / "mlruns" / "studies").iterdir()
    assert search(folder.parents[1], *words[:-1], "budget.trials=3") == folder
    assert (folder / "trials.csv").is_file()


def test_second_process_on_one_study_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with lock_study(finished):
        search(finished.parents[1], "task=cat_species", *TINY, "dataset.count=120", "budget.trials=4", expected=2)
    assert f"study={finished.name} is being searched by process {os.getpid()} on " in capsys.readouterr().err


def test_study_of_earlier_code_is_refused_in_one_line_and_stays_readable(
    finished: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its facts had another form; its summary, description and trials are what compare reads."""
    folder = store / "studies" / finished.name
    shutil.copytree(finished, folder)
    operations = [json.loads(line) for line in (folder / "trials.log").read_text().splitlines()]
    earlier_head = "Softmax('softmax', 'cross_entropy', " * 10
    for operation in operations:
        if "facts" in operation.get("user_attr", {}):
            operation["user_attr"]["facts"] |= {"head": earlier_head, "arithmetic": "3"}
            del operation["user_attr"]["facts"]["pruner"]
    (folder / "trials.log").write_text("".join(f"{json.dumps(operation)}\n" for operation in operations))
    words = ["task=cat_species", *TINY, "dataset.count=120", "budget.trials=8", f"study={finished.name}"]
    search(store, *words, expected=2)
    assert capsys.readouterr().err == (
        f"study={finished.name} holds another search; it differs in head: {earlier_head[:80]} there, "
        f"kind='softmax' here; pruner: none there, median here; "
        f"arithmetic: 3 there, {NUMERICS_VERSION} here; use another study=, or leave study out and it is named by what "
        "it searches\n"
    )
    assert (
        ComparedStudy.from_folder(folder, "cat_species").table.best.number == read_summary(finished)["best"]["number"]
    )


@pytest.mark.parametrize("wait", [2, 5, 8])
def test_ctrl_c_at_any_moment_is_one_line(tmp_path: Path, wait: int) -> None:
    words = ["task=cat_species", *TINY, "budget.trials=4000"]
    arguments = [sys.executable, "-m", "pipeline.search", *words]
    process = subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(wait)
    os.kill(process.pid, signal.SIGINT)
    errors = said_at_the_end(process)
    assert process.returncode in (130, -signal.SIGINT)  # the second: Python, where it came inside an extension's import
    assert [line.split()[0] for line in errors.splitlines()] == ["Stopped."]


def test_convolutions_are_searched_predict_as_they_were_tested_and_run_again_as_printed(store: Path) -> None:
    blocks = ["model.backbone=convolutions", "space=convolutions", "model.blocks={low: 1, high: 2}"]
    folder = search(store, *tiny("animals"), *blocks, "model.channels={choice: [2, 4]}")
    summary, architecture = read_summary(folder), model_files.load_trained_model(folder / "model").architecture
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert architecture.model.convolutions is not None
    assert (
        "-".join(map(str, architecture.model.convolutions.channels))
        == (rows[summary["best"]["number"]]["model.channels"])
    )
    assert {row["model.blocks"] for row in rows} <= {"1", "2", "3"}
    again = search(store, *summary["best"]["overrides"])
    assert read_summary(again)["parameters"] == summary["parameters"]
