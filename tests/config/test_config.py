"""Reading a command: what becomes of its words, and what is said about wrong ones."""

from pathlib import Path

import pytest

from pipeline.config import command_line
from pipeline.config.compose import CONF_FOLDER, list_options
from pipeline.config.datasets import ImageFolder, SyntheticImages
from pipeline.config.overrides import ConfigError
from pipeline.config.own_data import OWN_DATA_TASKS
from pipeline.config.ranges import Choice, Interval
from pipeline.config.reader import read_search
from pipeline.runtime.arguments import run_reporting_errors


def mistakes(*words: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as refused:
        read_search(words)
    return refused.value.lines


def test_every_task_reads_with_its_embedded_data() -> None:
    tasks = {*list_options("task", None)} - {*OWN_DATA_TASKS}
    assert len(tasks) == 8
    assert {read_search([f"task={task}"]).dataset.kind for task in tasks} == {"drawn", "drawn_houses"}


def test_every_yaml_in_conf_is_used_by_a_search_that_reads(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("path,a\n")
    named = {
        "folder": [f"dataset.root={tmp_path}"],
        "labels": [f"dataset.file={tmp_path}/x.csv"],
        "hdf5": [f"dataset.train={tmp_path}/x.csv"],
        "table": [f"dataset.file={tmp_path}/x.csv", "dataset.target=a", "space=dense"],
        "drawn_houses": ["space=dense", "head=number", "metric=mean_absolute_error"],
    }
    read_files = {CONF_FOLDER / "search.yaml"}
    for group in ("dataset", "space", "compute"):
        for name in list_options(group, None):
            words = named.get(name, []) if group == "dataset" else []
            words += ["model.backbone=convolutions"] if (group, name) == ("space", "convolutions") else []
            task = "animals" if name == "cifar" else "cat_species"
            read_search([f"task={task}", f"{group}={name}", *words])
            read_files.add(CONF_FOLDER / group / f"{name}.yaml")
    for task in list_options("task", None):
        data = named[{"table": "table", "images": "labels"}[task]] if task in OWN_DATA_TASKS else []
        words = [f"task={task}", *data, *(["dataset=labels"] if task == "images" else []), "head=softmax"]
        head = read_search(words if task in OWN_DATA_TASKS else words[:1]).head.kind
        read_files |= {CONF_FOLDER / "task" / f"{task}.yaml", CONF_FOLDER / "head" / f"{head}.yaml"}
    read_files.add(CONF_FOLDER / "head" / "auto.yaml")  # which is replaced by one of the others
    assert read_files == set(CONF_FOLDER.rglob("*.yaml"))


def test_value_replaces_range_and_range_replaces_value() -> None:
    search = read_search(["task=cat_species", "model.dropout=0.1", "training.epochs={low: 3, high: 9}"])
    assert search.space.settings["model.dropout"] == 0.1
    assert search.space.settings["training.epochs"] == Interval(3, 9)


def test_list_replaces_range() -> None:
    assert read_search(["task=cat_species", "model.nodes=[64,32]"]).space.settings["model.nodes"] == (64, 32)
    assert read_search(["task=cat_species", "model.nodes=[]"]).space.settings["model.nodes"] == ()


def test_choice_replaces_interval() -> None:
    search = read_search(["task=cat_species", "model.layers={choice: [1, 2]}"])
    assert search.space.settings["model.layers"] == Choice((1, 2))


def test_dataset_on_the_command_line_wins_in_any_order(tmp_path: Path) -> None:
    words = ["task=cat_species", "dataset=folder", f"dataset.root={tmp_path}"]
    assert isinstance(read_search(words).dataset, ImageFolder)
    assert isinstance(read_search(words[::-1]).dataset, ImageFolder)


def test_task_states_what_the_drawn_pictures_are_asked_for() -> None:
    dataset = read_search(["task=day_night"]).dataset
    assert isinstance(dataset, SyntheticImages)
    assert dataset.subject == "daylight"


def test_baseline_leaves_every_range_out() -> None:
    baseline = read_search(
        ["task=cat_species", "training.epochs={low: 3, high: 9}", "training.batch_size=32"]
    ).baseline.settings
    assert not any(isinstance(value, Interval | Choice) for value in baseline.values())
    assert (baseline["training.epochs"], baseline["training.batch_size"]) == (20, 32)


def test_says_all_mistakes_at_once() -> None:
    found = mistakes(
        "task=cat_specie",
        "model.nodse=3",
        "sampler=tpx",
        "training.learning_rate=fast",
        "training.weight_decay={low: 3, high: 1}",
        "budget.trials=true",
        "seed=[1",
    )
    assert len(found) == 7
    text = "\n".join(found)
    for words in (
        "task=cat_specie: no such task (did you mean cat_species?)",
        "model.nodse: no such key (did you mean model.nodes?)",
        "sampler: 'tpe', 'random' or 'gp'; got 'tpx' (did you mean tpe?)",
        "training.learning_rate: a number; got 'fast'",
        "training.weight_decay: low must be below high; got low: 3.0, high: 1.0",
        "budget.trials: a whole number; got True",
        "seed=[1: not a setting of the form key=value",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("nodes=[64]", "nodes: no such key (did you mean model.nodes?)"),
        ("epochs=5", "epochs: no such key (did you mean training.epochs?)"),
        ("trials=5", "trials: no such key (did you mean budget.trials?)"),
        ("batch=5", "batch: no such key (did you mean training.batch_size?)"),
        ("backbone=resnet18", "backbone: no such key (did you mean model.backbone?)"),
        ("modle.nodes=5", "modle: no such key (did you mean model?)"),
        ("model.node=5", "model.node: no such key (did you mean model.nodes?)"),
        ("budget.hours=5", "budget.hours: no such key; budget has trials, minutes"),
        ("dataset.rot=a", "dataset.rot: no such key; dataset has kind, subject, count, size, seed"),
    ],
)
def test_key_that_is_not_there_is_said_with_the_nearest_or_those_of_its_group(word: str, said: str) -> None:
    assert mistakes("task=cat_species", word) == (said,)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget.trials", "5"], "--budget.trials: settings have no dashes and an equals sign; budget.trials=5"),
        (["--seed=3", "x=1"], "--seed=3: settings have no dashes and an equals sign; seed=3"),
        (["--nodes"], "--nodes: settings have no dashes and an equals sign; nodes=<value>"),
    ],
)
def test_setting_with_dashes_is_told_how_it_is_said(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["task=cat_species", *words]
    code = run_reporting_errors(lambda: command_line.run_command_line(arguments, "", lambda _: 0), "")
    assert code == 2
    assert capsys.readouterr().err.splitlines()[0] == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["budget.trials", "=", "5"], "budget.trials: a setting is key=value, without a space on either side"),
        (["model.nodes=64,64"], "model.nodes=64,64: several values are a list, model.nodes=[64,64], or with -m"),
        (["dataset.root=photos"], "dataset.root: is for dataset=folder, oxford_pets, cifar; say which, dataset=folder"),
        ([f"dataset={CONF_FOLDER}"], f"for a folder of your own, dataset=folder dataset.root={CONF_FOLDER}"),
    ],
)
def test_usual_slips_are_told_what_was_meant(words: list[str], said: str) -> None:
    assert any(said in line for line in mistakes("task=cat_species", *words))


def test_key_like_no_other_is_told_the_groups_alone() -> None:
    (line,) = mistakes("task=cat_species", "lr=0.1")
    assert line.startswith("lr: no such key; the configuration has dataset, head, features, cv, ")
    assert len(line) < 250


def test_missing_task_lists_the_tasks() -> None:
    (line,) = mistakes()
    assert "task: say which" in line
    assert all(task in line for task in list_options("task", None))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.nodes=[64,32]", "model.layers=3"], "model.layers: model.nodes=[64, 32] fixes 2 layers"),
        (["model.nodes=[64]", "model.shape=same"], "model.shape: model.nodes=[64] fixes the widths already"),
        (["metric=mean_absolute_error"], "metric: head=softmax is scored by accuracy, "),
        (["head=number"], "head: dataset=drawn with subject=breed gives classes"),
        (["head.loss=l1"], "head.loss: no such key"),
        (["dataset=folder"], "dataset.root: needs a value, such as dataset.root=my_photos"),
        (["dataset=folder", "dataset.root=nowhere"], "dataset.root: a folder that exists; got nowhere"),
        (["model.backbone=resnet19"], "model.backbone: pixels, convolutions, efficientnet_lite0 or a network of"),
        (["model.backbone=resnet19"], "got 'resnet19' (did you mean resnet18?)"),
        (["model.backbone={choice: [resnet18, resnet34]}"], "model.backbone: one for a search, whose trials share it"),
        (
            ["model.finetune=last"],
            "model.finetune: is for a pretrained backbone, such as resnet18; got last for pixels",
        ),
        (["model.weights=mine.pth", "model.backbone=resnet18"], "model.weights: a file that exists; got mine.pth"),
        (["model.finetune=last", "model.backbone=vit_b_16"], "model.finetune: last is for the families resnet"),
        (["training.backbone_epochs=3"], "training.backbone_epochs: for model.finetune=last or all alone; got"),
        (["features.views=2"], "features.views: is for a pretrained backbone"),
        (["features.numbers=piecewise"], "features.numbers: is for tables, and dataset=drawn has images; leave it out"),
        (["features.bins=16"], "features.bins: is for tables, and dataset=drawn has images; leave it out"),
        (
            ["task=house_price", "features.numbers=standard", "features.bins=16"],
            "features.bins: is for features.numbers=quantile or piecewise; got features.numbers=standard",
        ),
        (["task=house_price", "features.numbers=pieces"], "features.numbers: 'standard', 'quantile' or 'piecewise'"),
        (["task=house_price", "features.numbers=quantile", "features.bins=1"], "features.bins: greater than or equal"),
        (
            ["model.backbone=resnet18", "training.flip=true"],
            "training.flip: a pretrained backbone reads each image once",
        ),
        (
            ["task=house_price", "model.backbone=resnet18"],
            "model.backbone: is for images, and dataset=drawn_houses has",
        ),
        (["cache.max_gb=0"], "cache.max_gb: "),
        (["training.shift=64"], "training.shift: fewer pixels than the side of the images, 64; got 64"),
        (["model.activation={low: 1, high: 2}"], "model.activation: "),
        (["training.learning_rate={low: 0.1}"], "a range is {low: .., high: ..}"),
        (["training.learning_rate={low: 0, high: 1, log: true}"], "greater than 0"),
        (["model.layers={choice: []}"], "choice needs a list of at least one value"),
        (["+training.momentum=0.9"], "training.momentum: no such key"),
        (["study=a/b"], "study: letters, digits"),
        (["store=/dev/null/x"], "store: a folder that can be written to"),
        (["--trials"], "--trials"),
        (["~dataset.size"], "dataset.size: needs a value, such as dataset.size="),
        (["~cv.folds"], "cv.folds: needs a value, such as cv.folds="),
        ([f"model.nodes={[3] * 21}"], "model.nodes: of 20 layers at most; got 21; use fewer"),
        (
            ["model.backbone=resnet18", "features.views=13"],
            "features.views: less than or equal to 12; got 13",
        ),
    ],
)
def test_refuses_with_rule_and_key(words: list[str], said: str) -> None:
    assert any(said in line for line in mistakes("task=cat_species", *words))


def test_table_refuses_what_is_for_pictures() -> None:
    (line,) = mistakes("task=house_price", "training.flip=true")
    assert line.startswith("training.flip: is for images, and dataset=drawn_houses has none")


def test_own_tasks_may_live_outside_the_repo(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - override /dataset: drawn\n  - override /head: sigmoid\n\nsubject: daylight\n"
    )
    search = read_search(["task=mine"], tmp_path)
    assert (search.task, search.head.kind) == ("mine", "sigmoid")


def test_own_tasks_may_live_in_a_folder_with_a_quote_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "cat's \\ 'photos'" / "task"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text((CONF_FOLDER / "task" / "day_night.yaml").read_text())
    assert read_search(["task=mine"], folder.parent).task == "mine"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"defaults: [\n  - a: {b\n", "while parsing a flow node"),
        (b"model:\n\tlayers: 3\n", "cannot start any token"),
        (b"\xff\xfe\x00x: 3\n", "codec can't decode byte 0xff"),
        (b"3\n", "Invalid loaded object type: int"),
        (b"defaults: 3\n", "defaults must be a list"),
    ],
)
def test_own_task_that_is_no_yaml_is_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read_search(["task=mine"], tmp_path)
    (line,) = refused.value.lines
    assert line.startswith("each file of the configuration is YAML, with a value for each key; got another (")
    assert said in line
    assert "\n" not in line


def test_no_yaml_names_code() -> None:
    assert not [file for file in CONF_FOLDER.rglob("*.yaml") if "_target_" in file.read_text()]


def test_refuses_several_workers_where_trials_are_compared_while_they_run() -> None:
    with pytest.raises(ConfigError, match=r"compute\.workers: pruner=asha compares trials that still run"):
        read_search(["task=cat_species", "pruner=asha", "compute.workers=auto"])


@pytest.mark.parametrize("key", ["workers", "stack"])
@pytest.mark.parametrize("typed", ["0", "many", "1.5", "257"])
def test_number_of_workers_or_trials_side_by_side_is_refused_in_one_line(typed: str, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_search(["task=cat_species", f"compute.{key}={typed}"])
    (line,) = refused.value.lines
    assert line.startswith(f"compute.{key}: a whole number from 1 to 256, or auto; got ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.channels=8"], "model.channels: for model.backbone=convolutions alone; got model.backbone=pixels"),
        (["space=convolutions"], "model.blocks, model.channels"),
        (["model.backbone=convolutions", "model.kernel=4"], "model.kernel: 3, 5 or 7; got 4"),
        (
            ["model.backbone=convolutions", "model.kernel={low: 3, high: 7}"],
            "model.kernel: 3, 5 or 7, so a range has st",
        ),
        (["model.backbone=convolutions", "model.pooling=min"], "model.pooling: 'max' or 'average'; got 'min'"),
        (["model.backbone=convolutions", "model.blocks=9"], "model.blocks: less than or equal to 8; got 9"),
        (["model.backbone=convolutions", "model.channels=[]"], "model.channels: at least one block; got []"),
        (
            ["model.backbone=convolutions", "model.chanels=8"],
            "model.chanels: no such key (did you mean model.channels?)",
        ),
        (
            ["model.backbone=convolutions", "model.channels=[8,9]", "model.blocks=3"],
            "model.blocks: model.channels=[8, 9] fixes 2 blocks; leave one of the two out",
        ),
        (
            ["model.backbone=convolutions", "model.channels=[8,9]", "model.growth=same"],
            "model.growth: model.channels=[8, 9] fixes the growth already; leave one of the two out",
        ),
        (
            ["model.backbone=convolutions", "model.channels={choice: [16, 1024]}", "model.blocks={low: 1, high: 4}"],
            "model.channels: a block has at most 4,096, and growth=double comes to 8,192; use fewer, ",
        ),
        (
            ["model.backbone=convolutions", "model.blocks={low: 2, high: 4}", "dataset.size=8"],
            "model.blocks: images of 8 x 8 take at most 3, since each block halves them; got 4; use fewer, or larger",
        ),
        (
            ["model.backbone=convolutions", "model.channels=[1,2,3,4]", "dataset.size=8"],
            "model.channels: images of 8 x 8 take at most 3, since each block halves them; got [1, 2, 3, 4]",
        ),
    ],
)
def test_mistakes_about_blocks_are_told_in_one_line(words: list[str], said: str) -> None:
    (line,) = mistakes("task=cat_species", *words)
    assert line.startswith(said)


def test_convolutions_on_a_table_are_refused() -> None:
    (line,) = mistakes("task=house_price", "model.backbone=convolutions")
    assert line.startswith("model.backbone: is for images, and dataset=drawn_houses has none; got convolutions")


def test_list_of_channels_replaces_their_range() -> None:
    search = read_search(
        ["task=cat_species", "model.backbone=convolutions", "space=convolutions", "model.channels=[8,9]"]
    )
    assert search.space.settings["model.channels"] == (8, 9)
