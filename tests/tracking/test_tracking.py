"""MLflow after a real search: runs, curves, artifacts, the registry and its aliases."""

import dataclasses
import json
import math
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
from contextlib import closing
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from pipeline import sync
from pipeline.artifact.model_files import load_trained_model
from pipeline.config.reader import read_search as read_configuration
from pipeline.study import description
from pipeline.study.storage import TrialStorageReader
from pipeline.tracking import study_sync as view
from pipeline.tracking.client import connect, download_model, store_uri
from pipeline.tracking.process import Tracker
from pipeline.tuner.live_display import LiveDisplay
from pipeline.tuner.search import run_search as run_search
from tests.conftest import TINY, search


@pytest.fixture(scope="session")
def client(finished: Path) -> MlflowClient:
    return MlflowClient(store_uri(finished.parents[1]))


def runs(client: MlflowClient, kind: str) -> list:
    (experiment,) = [one for one in client.search_experiments() if one.name == "cat_species"]
    found = client.search_runs([experiment.experiment_id], f"tags.kind = '{kind}'")
    return sorted(found, key=lambda run: int(run.data.tags.get("trial", 0)))


def test_a_run_a_study_and_a_nested_run_a_trial(client: MlflowClient, finished: Path) -> None:
    (study,) = runs(client, "study")
    trials = runs(client, "trial")
    assert study.info.run_name == finished.name
    assert [run.data.tags["trial"] for run in trials] == ["0", "1", "2", "3"]
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {study.info.run_id}
    assert {run.info.status for run in [study, *trials]} == {"FINISHED"}


def test_trial_has_its_parameters_its_value_and_how_it_ended(client: MlflowClient, finished: Path) -> None:
    (header, first, *_) = (finished / "trials.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    run = runs(client, "trial")[0]
    assert run.data.params["model.nodes"] == row["model.nodes"] == "64"
    assert run.data.metrics["score"] == float(row["value"])
    folds = [float(row[f"fold_{fold}"]) for fold in range(3)]
    assert run.data.metrics["standard_error"] == pytest.approx(statistics.stdev(folds) / math.sqrt(3))
    assert run.info.run_name == "trial 0: 1 x 64 relu"
    assert run.data.metrics["parameters"] == 3 * 8 * 8 * 64 + 64 + 64 * 12 + 12
    assert run.data.tags["state"] == "complete"
    assert run.data.tags["reason"]
    assert run.info.end_time > run.info.start_time


def test_curves_have_a_point_an_epoch_for_the_mean_and_each_fold(client: MlflowClient) -> None:
    run = runs(client, "trial")[0].info.run_id
    mean = client.get_metric_history(run, "validation/accuracy")
    folds = [client.get_metric_history(run, f"fold/{fold}/accuracy") for fold in range(3)]
    assert [point.step for point in mean] == [1, 2, 3]
    for index, point in enumerate(mean):
        assert point.value == pytest.approx(sum(fold[index].value for fold in folds) / 3)
    assert len(client.get_metric_history(run, "train_loss")) == 3


def test_every_trial_leaves_its_architecture(client: MlflowClient, tmp_path: Path) -> None:
    for run in runs(client, "trial"):
        file = client.download_artifacts(run.info.run_id, "architecture.json", str(tmp_path))
        hidden = json.loads(Path(file).read_text())["model"]["hidden"]
        assert "-".join(map(str, hidden)) == run.data.params.get("model.nodes", "")


def test_best_trial_leaves_the_parameters_of_each_fold(client: MlflowClient, finished: Path) -> None:
    best = json.loads((finished / "summary.json").read_text())["best"]["number"]
    kept = client.list_artifacts(runs(client, "trial")[best].info.run_id, "folds")
    assert [file.path for file in kept] == [f"folds/fold_{fold}.safetensors" for fold in range(3)]


def test_study_run_has_data_configuration_summary_and_model(client: MlflowClient, finished: Path) -> None:
    (study,) = runs(client, "study")
    files = {file.path for file in client.list_artifacts(study.info.run_id)}
    assert {"configuration.yaml", "summary.json", "trials.csv", "model"} <= files
    (logged,) = study.inputs.dataset_inputs
    assert logged.dataset.name == "drawn"
    assert study.data.params["data"] == logged.dataset.digest[:16]
    test = json.loads((finished / "summary.json").read_text())["test"]
    assert study.data.metrics["test/accuracy"] == test["value"]


def test_champion_is_registered_and_fetched_with_its_two_files(finished: Path) -> None:
    with download_model("models:/cat_species@champion", finished.parents[1]) as folder:
        assert load_trained_model(folder).architecture == load_trained_model(finished / "model").architecture
    assert not folder.exists()


def fetching(uri: str, store: Path) -> None:
    with download_model(uri, store):
        pass


def test_unknown_model_is_named(finished: Path) -> None:
    with pytest.raises(LookupError, match="models:/dogs@champion: "):
        fetching("models:/dogs@champion", finished.parents[1])


def test_lost_registry_says_what_makes_it_again(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="say store=<folder>, or search first"):
        fetching("models:/cat_species@champion", tmp_path)
    shutil.copytree(finished.parent, tmp_path / "studies")
    with pytest.raises(LookupError, match=rf"python -m pipeline\.sync store={tmp_path} rebuilds it"):
        fetching("models:/cat_species@champion", tmp_path)


def changed(file: Path, *statements: str) -> None:
    """Changes a database."""
    with closing(sqlite3.connect(file)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


@pytest.mark.parametrize("damage", ["text", "cut", "other"])
def test_damaged_registry_says_what_makes_it_again(finished: Path, tmp_path: Path, damage: str) -> None:
    whole = (finished.parents[1] / "mlflow.db").read_bytes()
    content = {"text": b"no database" * 999, "cut": whole[: len(whole) // 2], "other": b""}[damage]
    (tmp_path / "mlflow.db").write_bytes(content)
    if damage == "other":
        stamp = "INSERT INTO alembic_version VALUES ('0')"
        changed(tmp_path / "mlflow.db", "CREATE TABLE alembic_version (version_num TEXT)", stamp)
    with pytest.raises(LookupError, match=r"mlflow\.db is damaged, or no registry \(.*search again in another store="):
        fetching("models:/cat_species@champion", tmp_path)
    shutil.copytree(finished.parent, tmp_path / "studies")
    with pytest.raises(LookupError, match=rf"move {tmp_path}/mlflow.db away, and python -m pipeline.sync store="):
        fetching("models:/cat_species@champion", tmp_path)


def test_moved_store_says_what_makes_its_registry_again(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished.parents[1], tmp_path / "mlruns")
    file = tmp_path / "mlruns" / "mlflow.db"
    columns = {"runs": "artifact_uri", "model_versions": "source"}
    changed(file, *(f"UPDATE {table} SET {name} = '/nowhere' || {name}" for table, name in columns.items()))
    with pytest.raises(LookupError, match=rf"its files are no longer in /nowhere.*; move {file} away, and python -m"):
        fetching("models:/cat_species@champion", tmp_path / "mlruns")
    file.unlink()
    moved = (tmp_path / "mlruns").rename(tmp_path / "moved")
    assert sync.main([f"store={moved}"]) == 0
    with download_model("models:/cat_species@champion", moved) as folder:
        assert load_trained_model(folder).architecture == load_trained_model(finished / "model").architecture


def test_new_registry_reads_nothing_of_a_lost_one(tmp_path: Path) -> None:
    """Beside a database whose writer was killed lies what it wrote last, and may stay there without it."""
    file, beside = tmp_path / "mlflow.db", tmp_path / "mlflow.db-wal"
    with closing(sqlite3.connect(file)) as lost:
        lost.execute("PRAGMA journal_mode=WAL")
        lost.execute("CREATE TABLE lost (x)")
        kept = beside.read_bytes()
    file.unlink()
    beside.write_bytes(kept)
    assert [found.name for found in connect(None, tmp_path).search_experiments()] == ["Default"]


def test_commit_is_that_of_the_code_and_never_of_what_lies_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, installed = tmp_path / "ours.py", tmp_path / "site-packages" / "theirs.py"
    installed.parent.mkdir()
    for file in (ours, installed):
        file.touch()
    assert description.git_commit(ours) == {}
    for words in (
        ["init", "-q"],
        ["add", "ours.py"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"],
    ):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    assert re.fullmatch("[0-9a-f]{40}", description.git_commit(ours)["commit"])
    assert description.git_commit(installed) == {}
    monkeypatch.setenv("PATH", "")
    assert description.git_commit(ours) == {}


def test_alias_moves_by_new_data_or_cross_validation_and_never_by_the_test_score(store: Path) -> None:
    client = MlflowClient(store_uri(store))

    def champion() -> str:
        return client.get_model_version_by_alias("cat_species", "champion").tags["study"]

    first = search(store, "task=cat_species", *TINY, "budget.trials=1")
    assert champion() == first.name
    worse = search(store, "task=cat_species", *TINY, "budget.trials=1", "space=none", "training.learning_rate=1e-9")
    assert champion() == first.name
    assert client.get_model_version_by_alias("cat_species", "challenger").tags["study"] == worse.name
    other = search(store, "task=cat_species", *TINY, "budget.trials=1", "seed=5")
    assert client.get_model_version_by_alias("cat_species", "challenger").tags["study"] == other.name
    newer = search(store, "task=cat_species", *TINY, "budget.trials=1", "dataset.seed=5")
    assert champion() == newer.name


def everything(store: Path) -> list[tuple]:
    """All that is kept of each trial, but times."""
    client = MlflowClient(store_uri(store))
    kept = []
    for run in runs(client, "trial"):
        curve = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "fold/1/accuracy")]
        metrics = {name: value for name, value in run.data.metrics.items() if name != "seconds"}
        files = [file.path for file in client.list_artifacts(run.info.run_id)]
        kept.append(
            (run.info.run_name, run.info.status, run.data.params, metrics, run.data.tags["state"], curve, files)
        )
    return kept


def test_killed_follower_loses_no_trial_and_doubles_none(store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["task=cat_species", *TINY, "budget.trials=6", f"store={store}"]
    with Tracker() as tracker:
        say = LiveDisplay.finish_trial

        def kill(*given: Any) -> None:
            say(*given)
            if given[1].number == 3:
                tracker.process.kill()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LiveDisplay, "finish_trial", kill)
            assert run_search(read_configuration(words), tracker) == 0
    (folder,) = (store / "studies").iterdir()
    command = f"python -m pipeline.sync study={folder.name} store={store}"
    assert f"MLflow lacks a part of this study; to write it, run {command}\n" in capfd.readouterr().out
    assert sync.main([f"study={folder.name}", f"store={store}"]) == 0
    assert [name.split(":")[0] for name, *_ in everything(store)] == [f"trial {number}" for number in range(6)]
    assert {status for _, status, *_ in everything(store)} == {"FINISHED"}
    assert [run.info.status for run in runs(MlflowClient(store_uri(store)), "study")] == ["FINISHED"]
    assert "registered as models:/cat_species@champion (version 1" in capfd.readouterr().out


@pytest.mark.parametrize("page", [1_000, 2])
def test_everything_can_be_rebuilt_from_the_studies(
    page: int,
    finished: Path,
    tmp_path: Path,
    empty_database: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once into a database that was lost, and once over one that has it all, also where its runs are several pages."""
    monkeypatch.setattr(view, "RUNS_PER_PAGE", page)
    shutil.copytree(finished.parent, tmp_path / "studies")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    before = everything(finished.parents[1])
    for word in ("rebuild=false", "rebuild=true", "rebuild=false"):
        assert sync.main([word, f"store={tmp_path}"]) == 0
        assert everything(tmp_path) == before
        (study,) = runs(MlflowClient(store_uri(tmp_path)), "study")
        rows = list(TrialStorageReader(finished, finished.name).read_new_trials())
        assert study.info.start_time == int(1000 * min(row.end_time - row.seconds for row in rows))
        assert study.info.end_time == int(1000 * max(row.end_time for row in rows))
    said = capfd.readouterr().out.splitlines()
    kept = [line.split(", ")[1] for line in said if "MLflow has 4 trials" in line]
    assert kept == ["4 of them written now", "4 of them written now", "up to date"]
    assert [line for line in said if line.startswith("registered")] == [
        "registered as models:/cat_species@champion (version 1: the first)"
    ]
    with download_model("models:/cat_species@champion", tmp_path) as folder:
        assert load_trained_model(folder).architecture == load_trained_model(finished / "model").architecture


def test_architecture_of_a_trial_is_that_of_its_network(finished: Path) -> None:
    told, best = (
        description.read_description(finished),
        json.loads((finished / "summary.json").read_text())["best"]["number"],
    )
    rows = {row.number: row for row in TrialStorageReader(finished, finished.name).read_new_trials()}
    kept = load_trained_model(finished / "model").architecture
    assert told.architecture_json(rows[best]) == dataclasses.replace(kept, parameters_sha256=None).to_json()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["store=nowhere"], "store: no search has run there yet; got nowhere"),
        (["study=x"], "study: one of cat_species-"),
        (["study=cat_specie", "rebuild=yes"], "got cat_specie (did you mean cat_species-"),
        (["study=cat_specie", "rebuild=yes"], "rebuild: true or false; got yes"),
        (["stduy=x"], "(did you mean study=?)"),
        (["rebuild=yes"], "rebuild: true or false; got yes"),
    ],
)
def test_sync_says_what_was_typed_wrong(
    finished: Path, words: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    store = [] if words[0].startswith("store") else [f"store={finished.parents[1]}"]
    assert sync.main([*words, *store]) == 2
    assert said in capfd.readouterr().err


def test_sync_of_a_study_that_is_not_there_says_near_and_newest_names(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(["day_night-1a", "day_night-2b", "animals-3c", "house_price-4d", "mine"]):
        (tmp_path / "studies" / name).mkdir(parents=True)
        (tmp_path / "studies" / name / "study.json").touch()
        os.utime(tmp_path / "studies" / name / "study.json", (number, number))
    assert sync.main(["study=day_nigth", f"store={tmp_path}"]) == 2
    said = "study: one of mine, house_price-4d, animals-3c and 2 more; got day_nigth (did you mean "
    assert capfd.readouterr().err in {
        f"{said}{a} or {b}?)\n" for a, b in permutations(["day_night-1a", "day_night-2b"])
    }
