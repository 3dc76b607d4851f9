"""Any table, any folder: head, metric and names are taken from the data, said in one line, and can be overridden."""

import unicodedata
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest

from pipeline.config import auto, command_line
from pipeline.config.heads import NumberConfig
from pipeline.config.overrides import ConfigError
from pipeline.config.reader import read_search
from pipeline.config.schema import Search
from tests.data.test_data import picture

ROWS = 60
COLUMNS = {
    "size": [40 + row for row in range(ROWS)],
    "price": [1000.5 * row + 5 for row in range(ROWS)],
    "change": [float(row - 30) for row in range(ROWS)],
    "sold": [row % 2 for row in range(ROWS)],
    "grade": [1 + row % 5 for row in range(ROWS)],
    "garden": [row % 3 == 0 for row in range(ROWS)],
    "kind": [("flat", "house", "tower")[row % 3] for row in range(ROWS)],
    "street": [f"street {row}" for row in range(ROWS)],
}


@pytest.fixture
def houses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The table `houses.csv` in the current directory."""
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(COLUMNS).to_csv("houses.csv", index=False)
    return Path("houses.csv")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `my_photos` of two classes in the current directory."""
    monkeypatch.chdir(tmp_path)
    for kind in ("asleep", "awake"):
        picture(Path("my_photos") / kind / "1.png", 0)
    return Path("my_photos")


def table(target: str, *words: str, file: str | Path = "houses.csv") -> Search:
    return read_search(["task=table", f"dataset.file={file}", f"dataset.target={target}", *words])


def mistakes(*words: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as refused:
        read_search(words)
    return refused.value.lines


NAMED = "; experiment and registered model: houses"
BANDS = "head=bands 'head.edges=[...]'"


@pytest.mark.usefixtures("houses")
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("price", f"price is a number: head=number, metric=mean_absolute_error; to override: {BANDS}"),
        (
            "change",
            f"change is a number: head=number, head.output=identity, metric=mean_absolute_error; to override: {BANDS}",
        ),
        (
            "sold",
            "sold has 2 classes (0, 1): head=sigmoid, metric=accuracy; to override: head=softmax, head=number, metric=",
        ),
        (
            "grade",
            "grade has 5 whole numbers, taken as classes: head=softmax, metric=accuracy; to override: head=number, ",
        ),
        ("garden", "garden has 2 classes (False, True): head=sigmoid, metric=accuracy; to override: head=softmax, "),
        ("kind", "kind has 3 classes (flat, house, tower): head=softmax, metric=accuracy; to override: metric="),
    ],
)
def test_target_gives_head_and_metric_and_one_line_says_so(target: str, said: str) -> None:
    search = table(target)
    assert search.note.startswith(said)
    assert search.note.endswith(NAMED)
    assert "\n" not in search.note
    chosen = said.partition(": ")[2].partition(";")[0].split(", ")
    assert search.overrides[3:] == tuple(chosen)
    assert (search.head.kind, search.metric.name) == tuple(word.partition("=")[2] for word in (chosen[0], chosen[-1]))
    assert (search.task, search.question) == ("houses", f"What is {target} in houses?")


@pytest.mark.usefixtures("houses")
def test_columns_of_0_and_1_are_labels() -> None:
    search = read_search(["task=table", "dataset.file=houses.csv", "dataset.targets=[sold,garden]"])
    assert (search.head.kind, search.metric.name) == ("sigmoids", "f1_macro")
    said = "sold, garden are 2 labels of 0 or 1: head=sigmoids, metric=f1_macro; to override: metric="
    assert search.note.startswith(said)
    assert "target=" not in " ".join(search.overrides).replace("dataset.targets=", "")


@pytest.mark.usefixtures("houses")
def test_what_was_typed_stays_and_is_not_said() -> None:
    with mock.patch.object(auto, "_inspect_targets", side_effect=AssertionError("the table is not read")):
        search = table("price", "head=bands", "head.edges=[2e4,4e4]")
    assert (search.head.kind, search.metric.name, search.note) == ("bands", "accuracy", NAMED[2:])
    assert (table("grade", "head=number").metric.name, table("grade", "metric=f1_macro").head.kind) == (
        "mean_absolute_error",
        "softmax",
    )
    search = table("change", "head.output=relu")
    assert isinstance(search.head, NumberConfig)
    assert (search.head.output, search.overrides[3]) == ("relu", "head.output=relu")
    assert "output" not in search.note


@pytest.mark.usefixtures("houses")
def test_metric_that_was_typed_chooses_among_the_heads_that_suit() -> None:
    search = table("grade", "metric=mean_absolute_error")
    assert search.head.kind == "number"
    said = "grade has 5 whole numbers, taken as classes: head=number; to override: head=softmax, "
    assert search.note == said + BANDS + NAMED
    (line,) = mistakes("task=table", "dataset.file=houses.csv", "dataset.target=kind", "metric=mean_absolute_error")
    assert line.startswith("metric: head=softmax is scored by accuracy")


@pytest.mark.usefixtures("houses")
def test_overrides_of_a_search_choose_the_same_without_reading_the_targets() -> None:
    search = table("change", "head=auto", "metric=auto")
    with mock.patch.object(auto, "_inspect_targets", side_effect=AssertionError("the table is not read")):
        again = read_search(search.overrides)
    assert (again.head, again.metric, again.task, again.space) == (
        search.head,
        search.metric,
        search.task,
        search.space,
    )
    assert again.overrides == search.overrides
    assert not any("auto" in word for word in search.overrides)


@pytest.mark.usefixtures("photos")
def test_folder_gives_head_and_name() -> None:
    search = read_search(["task=images", "dataset.root=my_photos"])
    assert search.question == "What is in an image of my_photos?"
    assert (search.task, search.head.kind, search.metric.name) == ("my_photos", "sigmoid", "accuracy")
    assert search.note.startswith("my_photos has 2 classes (asleep, awake): head=sigmoid, metric=accuracy; ")
    picture(Path("my_photos/hidden/1.png"), 1)
    assert read_search(["task=images", "dataset.root=my_photos"]).head.kind == "softmax"


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(
    ("columns", "head"),
    [
        ({"cat": [0, 1], "lion": [1, 1]}, "sigmoids"),
        ({"cat": [0, 1]}, "sigmoid"),
        ({"age": [0.5, 12]}, "number"),
        ({"age": [-1, 12], "split": ["train", "test"]}, "number"),
    ],
)
def test_images_of_a_csv_file_give_the_head_by_its_columns(columns: dict[str, list[object]], head: str) -> None:
    paths = [f"my_photos/{kind}/1.png" for kind in ("asleep", "awake")]
    pd.DataFrame({"path": paths} | columns).to_csv("labels.csv", index=False)
    search = read_search(["task=images", "dataset=labels", "dataset.file=labels.csv"])
    assert (search.head.kind, search.task) == (head, "labels")
    if isinstance(search.head, NumberConfig):
        assert search.head.output == ("identity" if min(columns["age"]) < 0 else "relu")


@pytest.mark.usefixtures("photos")
def test_any_task_may_leave_its_head_to_the_targets() -> None:
    words = ["task=cat_species", "dataset=folder", "dataset.root=my_photos", "head=auto", "metric=auto"]
    search = read_search(words)
    assert (search.task, search.head.kind, search.note.count("experiment")) == ("cat_species", "sigmoid", 0)
    (line,) = mistakes("task=cat_species", "head=auto")
    known = "dataset=folder or dataset=labels or dataset=table"
    assert line == f"head=auto: is for {known}; got dataset=drawn; say which, such as head=softmax"


@pytest.mark.parametrize(
    ("file", "task"),
    [
        ("houses.csv", "houses"),
        ("new houses: 2024/5.csv", "5"),
        ("new houses (2024).csv", "new_houses_2024"),
        ("a'b@c\"d:e%f.csv", "a_b_c_d_e_f"),
        ("house.prices.parquet", "house.prices"),
        ("집값.csv", "집값"),
        (unicodedata.normalize("NFD", "집값.csv"), "집값"),
        ("x" * 200 + ".csv", "x" * 60),
        ("!!.csv", "table"),
        ("animals.csv", "animals_table"),
        ("Animals.csv", "Animals_table"),
        ("images.csv", "images"),
    ],
)
def test_name_of_the_file_names_the_task(file: str, task: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True, parents=True)
    frame = pd.DataFrame(COLUMNS)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    search = table("price", file=f"'{path}'".replace("a'b", "a\\'b"))
    assert search.task == task
    since = f", since {path.stem} is a task of its own" if task.endswith("_table") else ""
    assert search.note.endswith(f"; experiment and registered model: {task}{since}")


def test_task_of_the_users_own_is_not_mixed_with_a_file_of_its_name(houses: Path, tmp_path: Path) -> None:
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "conf" / "task" / "houses.yaml").write_text("# @package _global_\n")
    words = ["task=table", f"dataset.file={houses}", "dataset.target=price"]
    assert read_search(words, tmp_path / "conf").task == "houses_table"
    assert read_search(words).task == "houses"


@pytest.mark.usefixtures("photos")
def test_current_folder_has_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("my_photos")
    for root in (".", "../my_photos/", "asleep/.."):
        assert read_search(["task=images", f"dataset.root={root}"]).task == "my_photos"


@pytest.mark.usefixtures("houses", "photos")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=table"], ("dataset.file: needs a value, such as dataset.file=my_table.csv",)),
        (
            ["task=table", "dataset.file=house.csv", "dataset.target=price"],
            ("dataset.file: a file that exists; got house.csv (there is none at ",),
        ),
        (
            ["task=table", "dataset.file=houses.csv"],
            ("dataset.target: needs a value, such as dataset.target=price",),
        ),
        (
            ["task=table", "dataset.file=houses.csv", "dataset.target=prise", "dataset.ignore=[siz]"],
            (
                "dataset.target: a column of houses.csv; got prise (did you mean price?)",
                "dataset.ignore: a column of houses.csv; got siz (did you mean size?)",
                "columns: size, price, change, ",
            ),
        ),
        (
            ["task=table", "dataset.file=houses.csv", "dataset.target=price", "dataset.targets=[sold,garden]"],
            ("dataset.target: one column, or several as dataset.targets; got both, target=price",),
        ),
        (
            ["task=table", "dataset.file=houses.csv", "dataset.targets=[sold]"],
            ("dataset.targets: at least two columns of 0 and 1; got [sold]; use dataset.target=sold",),
        ),
        (
            ["task=table", "dataset.file=houses.csv", "dataset.targets=sold"],
            ("dataset.targets: a list, such as [a,b]; got 'sold'",),
        ),
        (
            ["task=table", "dataset.file=houses.csv", "dataset.target=[sold,garden]"],
            ("dataset.target: one column; for several of 0 and 1 use dataset.targets; got ",),
        ),
        (
            ["task=table", "dataset.file=houses.csv", "dataset.targets=[sold,grade]"],
            ("dataset.targets: grade is 0 or 1 in every row; not so in 48 rows, first 2, 3, 4, 5, 7: got '2'; fix",),
        ),
        (
            ["task=table", "dataset.file=houses.csv", "dataset.target=street"],
            ("dataset.target: a few classes, or a number; street has 60 different texts in 60 rows: name another col",),
        ),
        (
            ["task=table", "dataset.file=houses.csv", "dataset.target=price", "head=sigmoids"],
            ("head: dataset=table with target=price gives classes or numbers, for head=softmax or head=sigmoid for ",),
        ),
        (
            ["task=table", "dataset.file=houses.csv", "dataset.targets=[sold,garden]", "head=softmax"],
            ("head: dataset=table with targets=[sold,garden] gives labels, for head=sigmoids; got head=softmax",),
        ),
        (
            ["task=table", "dataset.file=houses.csv", "dataset.target=price", "metric=acuracy"],
            ("metric: 'accuracy', ",),
        ),
        (
            ["task=table", "dataset.file=houses.csv", "dataset.target=price", "model.nodse=3"],
            ("model.nodse: no such key (did you mean model.nodes?)",),
        ),
        (["task=images"], ("dataset.root: needs a value, such as dataset.root=my_photos",)),
        (["task=images", "dataset.root=nowhere"], ("dataset.root: a folder that exists; got nowhere",)),
        (
            ["task=images", "dataset.root=my_photos/awake"],
            ("dataset.root: a folder for each of at least two classes, <root>/<class>/<image>.jpg; got none in ",),
        ),
        (
            ["task=houses.csv"],
            ("task=houses.csv: no such task; for a table of your own, task=table dataset.file=houses.csv dataset.tar",),
        ),
        (
            ["task=my_photos"],
            ("task=my_photos: no such task; for a folder of your own, task=images dataset.root=my_photos; known: ",),
        ),
    ],
)
def test_what_is_typed_wrong_is_said_in_a_line_each(words: list[str], said: tuple[str, ...]) -> None:
    found = mistakes(*words)
    assert len(found) == len(said)
    assert all(line.startswith(start) for line, start in zip(found, said, strict=True))


def test_glob_of_tasks_leaves_out_those_that_need_a_file() -> None:
    names: list[str] = []

    def note(search: Search) -> int:
        names.append(search.task)
        return 0

    assert command_line.run_command_line(["-m", "task=glob(*)"], "", note) == 0
    assert len(names) == 8
    assert not {"table", "images"} & set(names)
