"""Any table, any folder, searched for real: each kind of target, its names in MLflow, and the same study again."""

import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from pipeline import predict
from pipeline.config import follow_up_commands
from pipeline.config.reader import read_search
from pipeline.study.description import read_description
from pipeline.study.problem import build_problem
from pipeline.tracking.client import store_uri
from tests.conftest import search
from tests.data.test_data import picture

ROWS = 90
SMALL = ("training.epochs=2", "cv.folds=3", "budget.trials=2", "compute=cpu")
HOUSES = ("task=table", "dataset.file=houses.csv")


@pytest.fixture
def place(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a table and a folder of images; its store is `mlruns`."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    size = generator.normal(100, 20, ROWS)
    columns = {
        "size": size,
        "zone": generator.choice(["north", "south"], ROWS),
        "price": 1000 * size,
        "change": size - 100,
        "sold": (size > 100).astype(int),
        "garden": generator.integers(0, 2, ROWS),
        "grade": 1 + np.arange(ROWS) % 3,
        "kind": generator.choice(["flat", "house", "tower"], ROWS),
    }
    pd.DataFrame(columns).to_csv("houses.csv", index=False)
    for number in range(30):
        for seed, kind in enumerate(("asleep", "awake")):
            picture(Path("my_photos") / kind / f"{number}.png", 1000 * seed + number)
    assert store == tmp_path / "mlruns"
    return tmp_path


def registered(store: Path) -> dict[str, dict[str, int]]:
    """The versions of each alias of each registered model."""
    models = MlflowClient(store_uri(store)).search_registered_models()
    return {model.name: {alias: int(number) for alias, number in model.aliases.items()} for model in models}


def experiments(store: Path) -> set[str]:
    return {each.name for each in MlflowClient(store_uri(store)).search_experiments()} - {"Default"}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("words", "head", "metric"),
    [
        (["dataset.target=price"], "number", "mean_absolute_error"),
        (["dataset.target=change"], "number", "mean_absolute_error"),
        (["dataset.target=sold"], "sigmoid", "accuracy"),
        (["dataset.target=grade"], "softmax", "accuracy"),
        (["dataset.target=kind"], "softmax", "accuracy"),
        (["dataset.targets=[sold,garden]"], "sigmoids", "f1_macro"),
        (["dataset.target=grade", "metric=mean_absolute_error"], "number", "mean_absolute_error"),
    ],
)
def test_every_kind_of_target_of_a_table_is_searched(
    words: list[str], head: str, metric: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = search(store, *HOUSES, *words, *SMALL)
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["task"], summary["test"]["metric"]) == ("houses", metric)
    assert json.loads((folder / "model" / "architecture.json").read_text())["head"]["kind"] == head
    assert folder.name.startswith("houses-")
    assert (experiments(store), registered(store)) == ({"houses"}, {"houses": {"champion": 1}})
    first_line = capsys.readouterr().out.splitlines()[0]
    assert f"head={head}" in first_line
    assert first_line.endswith("; experiment and registered model: houses")
    assert predict.main(["model=houses", "houses.csv", "output=predictions.csv"]) == 0
    rows = pd.read_csv("predictions.csv")
    assert (len(rows), rows["error"].isna().all()) == (ROWS, True)


@pytest.mark.usefixtures("place")
def test_folder_is_searched_under_its_name(store: Path) -> None:
    folder = search(store, "task=images", "dataset.root=my_photos", "dataset.size=8", *SMALL)
    assert json.loads((folder / "model" / "architecture.json").read_text())["head"]["kind"] == "sigmoid"
    assert folder.name.startswith("my_photos-")
    assert (experiments(store), registered(store)) == ({"my_photos"}, {"my_photos": {"champion": 1}})
    assert predict.main(["model=my_photos", "my_photos"]) == 0


@pytest.mark.usefixtures("place")
def test_same_data_give_the_same_study_which_resumes(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*HOUSES, "dataset.target=grade", *SMALL]
    folder = search(store, *words)
    assert search(store, *words) == folder
    assert "Finished. For more trials" in capsys.readouterr().out
    typed = [*words, "head=softmax", "metric=accuracy", "budget.trials=3"]
    assert search(store, *typed) == folder
    assert json.loads((folder / "summary.json").read_text())["trials"]["total"] == 3
    Path("houses.csv").rename("homes.csv")
    assert search(store, "task=table", "dataset.file=homes.csv", *words[2:]).name.startswith("homes-")


@pytest.mark.usefixtures("place")
def test_workers_train_on_the_data_that_were_chosen_for(store: Path) -> None:
    words = [*HOUSES, "dataset.target=change", *SMALL, "compute.workers=2"]
    folder = search(store, *words)
    assert json.loads((folder / "summary.json").read_text())["trials"]["failed"] == 0


@pytest.mark.usefixtures("place")
def test_printed_commands_reproduce_the_search(store: Path) -> None:
    words = [*HOUSES, "dataset.target=change", *SMALL]
    folder = search(store, *words)
    description = read_description(folder)
    assert build_problem(read_search(shlex.split(description.typed))).name == folder.name
    best = json.loads((folder / "summary.json").read_text())["best"]
    again = read_search(shlex.split(follow_up_commands.format_rerun_command(read_search(words), best["overrides"]))[3:])
    assert (again.task, again.head, again.metric) == ("houses", read_search(words).head, read_search(words).metric)
    assert "head=number head.output=identity metric=mean_absolute_error" in description.typed
    assert "dataset.targets" not in description.source


@pytest.mark.usefixtures("place")
def test_model_of_another_column_of_the_file_is_no_champion(store: Path) -> None:
    search(store, *HOUSES, "dataset.target=price", *SMALL)
    search(store, *HOUSES, "dataset.target=size", *SMALL)
    assert registered(store) == {"houses": {"champion": 1, "challenger": 2}}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(("file", "task"), [("집값 (서울).csv", "집값_서울"), ("house_price.csv", "house_price_table")])
def test_any_name_of_a_file_is_one_for_mlflow(file: str, task: str, store: Path) -> None:
    Path("houses.csv").rename(file)
    folder = search(store, "task=table", f"dataset.file='{file}'", "dataset.target=sold", *SMALL)
    assert folder.name.startswith(f"{task}-")
    assert (experiments(store), registered(store)) == ({task}, {task: {"champion": 1}})
    assert predict.main([f"model={task}", file]) == 0
