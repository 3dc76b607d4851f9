"""What MLflow's pages say: of what is asked, of who won and how sure that is; and what they leave alone."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from pathlib import Path
from threading import Event, Thread

import pytest
from mlflow import MlflowClient
from mlflow.entities import Experiment, Run

from pipeline import sync
from pipeline.study import description
from pipeline.study.storage import TrialStorageReader
from pipeline.study.summary import StudySummary
from pipeline.tracking import descriptions, system_metrics, ui_views
from pipeline.tracking.client import store_uri
from pipeline.tracking.compat import SHARED_VIEW_TAG_PREFIX
from pipeline.tracking.markdown import (
    USER_TEXT_MARKER,
    escape,
    format_code_block,
    format_inline_code,
    format_name_list,
    merge_note,
)
from pipeline.tracking.trial_runs import format_run_name
from tests.conftest import TINY, search

NOTE = "mlflow.note.content"


@pytest.fixture
def copied(finished: Path, tmp_path: Path, empty_database: Path) -> Path:
    """The folder of the finished study in a store of its own, of which MLflow knows nothing yet."""
    shutil.copytree(finished.parent, tmp_path / "studies")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path / "studies" / finished.name


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def typed(built: dict) -> StudySummary:
    return StudySummary.from_json(json.dumps(built))


def there(store: Path, task: str = "cat_species") -> tuple[MlflowClient, Experiment, Run]:
    """What MLflow has of a store's only study."""
    client = MlflowClient(store_uri(store))
    experiment = client.get_experiment_by_name(task)
    assert experiment is not None
    (study,) = client.search_runs([experiment.experiment_id], "tags.kind = 'study'")
    return client, experiment, study


def test_study_page_begins_with_winner_score_interval_gain_and_command(finished: Path) -> None:
    told, built = description.read_description(finished), summary(finished)
    first, *_ = descriptions.describe_study(told, typed(built), "").split("\n\n")
    test = built["test"]
    assert first.startswith(f"**Trial {built['best']['number']} won: ")
    assert f"{built['parameters']:,} parameters" in first
    assert f"**accuracy {test['value']:.3f}** (95 % interval {test['low']:.3f} to {test['high']:.3f})" in first
    assert "Gain over the baseline's " in first or "It is the baseline itself" in first
    assert first.endswith(f"  \n**Use.** `python -m pipeline.predict model={finished}/model photo.jpg`")


def test_error_is_told_in_its_unit_and_a_gain_is_what_it_fell_by(finished: Path) -> None:
    told = dataclasses.replace(description.read_description(finished), metric="mean_absolute_error", unit="USD")
    built = summary(finished)
    built["best"]["number"] = 3
    built["test"] |= {"metric": "mean_absolute_error", "value": 1000.0, "low": 900.0, "high": 1100.0}
    built["baseline"]["test"] |= {"value": 1500.0}
    page = descriptions.describe_study(told, typed(built), "")
    assert "**mean absolute error 1,000 USD** (95 % interval 900 to 1,100)" in page
    assert "Gain over the baseline's 1,500: **+500 USD**.  \n" in page
    built["baseline"]["test"] |= {"value": 950.0}
    assert "Gain over the baseline's 950: **-50 USD**, perhaps by chance.  \n" in descriptions.describe_study(
        told, typed(built), ""
    )


def test_experiment_says_what_is_asked_of_which_data_and_how_it_is_judged(finished: Path) -> None:
    _, experiment, study = there(finished.parents[1])
    page = experiment.tags[NOTE]
    assert page.startswith("Which breed is it? One of 12: Abyssinian, Bengal, ")
    assert "Data: 120 synthetic images." in page
    assert "Metric: accuracy" in page
    assert study.data.tags[NOTE].startswith("**Trial ")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_views_show_the_columns_that_matter_in_their_order(finished: Path) -> None:
    client, experiment, _ = there(finished.parents[1])
    trials = json.loads(json.loads(experiment.tags[SHARED_VIEW_TAG_PREFIX + ui_views.TRIALS_VIEW])["state"])
    shown = [column.split("`")[1] for column in trials["selectedColumns"]]
    expected = ["score", "standard_error", "model.layers", "model.nodes", "parameters", "seconds", "state"]
    assert shown[:7] == expected
    assert (trials["searchFilter"], trials["orderByAsc"]) == ("tags.kind = 'trial'", False)
    run = client.search_runs([experiment.experiment_id], "tags.trial = '0'")[0].data
    known = {*run.metrics, *run.params, *run.tags}
    assert set(shown) - {"model.activation", "model.dropout"} <= known


def test_trial_has_only_what_was_drawn_as_parameters_and_the_study_the_rest(finished: Path) -> None:
    client, experiment, study = there(finished.parents[1])
    told = description.read_description(finished)
    for run in client.search_runs([experiment.experiment_id], "tags.kind = 'trial'"):
        assert set(run.data.params) <= {*told.searched, "model.layers", "model.nodes"}
    assert study.data.params["training.epochs"] == "3"
    assert not {"training.epochs", "training.optimizer"} & set(told.searched)
    assert len(study.data.params) < 25


def test_winner_is_tagged_and_the_history_has_a_point_a_trial(finished: Path) -> None:
    client, experiment, study = there(finished.parents[1])
    (winner,) = client.search_runs([experiment.experiment_id], "tags.winner = 'true'")
    assert winner.data.tags["trial"] == str(summary(finished)["best"]["number"])
    history = client.get_metric_history(study.info.run_id, "best_so_far")
    values = [row.value for row in TrialStorageReader(finished, finished.name).read_new_trials()]
    assert [(point.step, point.value) for point in history] == [(n, max(values[:n])) for n in range(1, len(values) + 1)]


def test_trials_are_named_by_their_network(finished: Path) -> None:
    row = next(iter(TrialStorageReader(finished, finished.name).read_new_trials()))
    fields = {**row.hyperparameters, "model.layers": 2, "model.nodes": "128-64", "model.activation": "gelu"}
    assert format_run_name(dataclasses.replace(row, number=17, hyperparameters=fields)) == "trial 17: 2 x 128,64 gelu"
    fields |= {"model.channels": "16-32", "model.layers": 0, "model.nodes": ""}
    assert (
        format_run_name(dataclasses.replace(row, hyperparameters=fields))
        == "trial 0: 16,32 channels no hidden layer gelu"
    )


def test_search_that_has_not_ended_says_how_far_it_is(copied: Path) -> None:
    (copied / "summary.json").unlink()
    assert sync.main([f"store={copied.parents[1]}"]) == 0
    page = there(copied.parents[1])[2].data.tags[NOTE]
    assert page.startswith("**Which breed is it?** Stopped; run the same command again to resume: 4 of 4 trials.")
    assert "model.layers" in page


def test_words_of_a_person_stay_below_the_line_and_changed_views_stay_changed(copied: Path) -> None:
    store = copied.parents[1]
    assert sync.main([f"store={store}"]) == 0
    client, experiment, study = there(store)
    client.set_tag(study.info.run_id, NOTE, f"{study.data.tags[NOTE]}\n\nLook at the Bengals again.")
    client.set_experiment_tag(experiment.experiment_id, SHARED_VIEW_TAG_PREFIX + ui_views.TRIALS_VIEW, "mine")
    model = client.get_registered_model("cat_species")
    client.update_registered_model("cat_species", f"{model.description}\n\nAsk Jin.")
    for _ in range(2):
        assert sync.main([f"store={store}", "rebuild=true"]) == 0
    client, experiment, again = there(store)
    assert again.data.tags[NOTE] == f"{study.data.tags[NOTE]}\n\nLook at the Bengals again."
    assert experiment.tags[SHARED_VIEW_TAG_PREFIX + ui_views.TRIALS_VIEW] == "mine"
    assert client.get_registered_model("cat_species").description == f"{model.description}\n\nAsk Jin."


def test_registered_model_has_the_champions_card_and_each_version_its_own_words(store: Path) -> None:
    search(store, "task=cat_species", *TINY, "budget.trials=1")
    client = MlflowClient(store_uri(store))
    card = client.get_registered_model("cat_species").description
    assert all(f"**{part}.**" in card for part in ("Intended use", "Data", "Scores", "Limitations", "Use"))
    assert "95 % interval" in card
    assert "a demonstration, of no use on real images" in card
    worse = search(store, "task=cat_species", *TINY, "budget.trials=1", "space=none", "training.learning_rate=1e-9")
    assert client.get_registered_model("cat_species").description == card
    version = client.get_model_version("cat_species", "2").description
    assert f"Study {escape(worse.name)}." in version
    assert version.startswith("Trial 0 won: ")


def test_report_is_logged_and_again_where_it_has_changed(copied: Path) -> None:
    store, page = copied.parents[1], copied / "report" / "report.html"
    for text in ("first", "second"):
        page.write_text(text)
        assert sync.main([f"store={store}"]) == 0
        client, _, study = there(store)
        assert Path(client.download_artifacts(study.info.run_id, "report/report.html")).read_text() == text


def test_environment_is_logged_as_it_was_when_the_search_ran(copied: Path) -> None:
    assert sync.main([f"store={copied.parents[1]}"]) == 0
    client, _, study = there(copied.parents[1])
    text = Path(client.download_artifacts(study.info.run_id, "environment.txt")).read_text()
    assert {line.split()[0] for line in text.splitlines()} >= {"python", "torch", "optuna", "mlflow", "device"}
    assert study.data.tags.get("mlflow.source.git.commit") == description.read_description(copied).environment.get(
        "commit"
    )


def test_load_is_measured_while_a_process_runs_and_a_torn_line_counts_but_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_metrics, "FIRST_INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(system_metrics, "INTERVAL_SECONDS", 0.05)
    over = Event()
    watching = Thread(target=system_metrics.record_system_metrics, args=(tmp_path, over, os.getpid()))
    watching.start()
    end = time.monotonic() + 20
    while len(list(system_metrics.read_measurements(tmp_path, 0))) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    over.set()
    watching.join()
    lines = list(system_metrics.read_measurements(tmp_path, 0))
    assert [number for number, *_ in lines] == list(range(len(lines)))
    assert all(abs(seconds - time.time()) < 60 for _, seconds, _ in lines)
    measured = lines[-1][2]
    assert 0 <= measured["cpu_utilization_percentage"] <= 100
    assert 50 < measured["search_memory_usage_megabytes"] < measured["system_memory_usage_megabytes"] * 2
    whole = (tmp_path / system_metrics.SYSTEM_METRICS_FILE).read_text()
    (tmp_path / system_metrics.SYSTEM_METRICS_FILE).write_text(
        whole + '{"time": 1, "cp{"time": 1}\n' + whole.splitlines()[0] + "\n" + '{"ti'
    )
    assert [number for number, *_ in system_metrics.read_measurements(tmp_path, len(lines) - 1)] == [
        len(lines) - 1,
        len(lines) + 1,
    ]


def test_load_is_written_to_mlflow_once_however_often_it_is_rebuilt(copied: Path) -> None:
    lines = [json.dumps({"time": 1.7e9 + 10 * n, "cpu_utilization_percentage": 10.0 * n}) for n in range(3)]
    (copied / system_metrics.SYSTEM_METRICS_FILE).write_text("".join(line + "\n" for line in lines))
    for word in ("rebuild=false", "rebuild=true", "rebuild=false"):
        assert sync.main([f"store={copied.parents[1]}", word]) == 0
        client, _, study = there(copied.parents[1])
        for metric, steps in (("system/cpu_utilization_percentage", [0, 1, 2]), ("best_so_far", [1, 2, 3, 4])):
            assert [point.step for point in client.get_metric_history(study.info.run_id, metric)] == steps


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat_species", "cat\\_species"),
        ("<b>", "&lt;b&gt;"),
        ("a | b", "a \\| b"),
        ("two\nlines\x1b[31m", "two lines \\[31m"),
        ("@somebody", "&#64;somebody"),
        ("![x](y)", "\\!\\[x\\](y)"),
    ],
)
def test_names_are_plain_letters(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_many_names_are_counted_and_long_ones_cut() -> None:
    assert format_name_list([str(n) for n in range(20)], max_names=3) == "0, 1, 2 and 17 more"
    assert format_name_list(["x" * 100]) == "x" * 37 + "..."


def test_commands_break_where_a_shell_goes_on_and_no_backtick_ends_them() -> None:
    words = ["python", "-m", "pipeline.search", *(f"training.key_{n}=0.123456" for n in range(8)), "a b`c"]
    block = format_code_block(words)
    assert max(map(len, block.splitlines())) <= 76
    assert block.count(" \\\n    ") == 4
    assert block.startswith("```\npython -m pipeline.search ")
    assert "'a b`c'" in block
    assert format_code_block(["a```b"]).startswith("````\n")
    assert format_inline_code("x") == "`x`"
    assert format_inline_code("a`b") == "`` a`b ``"


def test_page_that_has_no_room_for_both_stays_as_the_person_left_it() -> None:
    kept = merge_note("ours", None, 1000)
    assert kept == f"ours\n\n---\n\n{USER_TEXT_MARKER}"
    mine = f"{kept}\n\n{'mine ' * 180}".strip()
    assert merge_note("new", mine, 1000) == mine.replace("ours", "new")
    assert merge_note("new " * 100, mine, 1000) == mine
    assert merge_note("ours", "mine alone", 1000) == f"{kept}\n\nmine alone"


@pytest.mark.parametrize(
    ("ours", "shown"), [("new " * 1000, "new new"), ("new\n\n" + "| new |\n" * 200, "new\n\n...\n\n---")]
)
def test_page_that_is_cut_keeps_its_line_and_is_written_again(ours: str, shown: str) -> None:
    below = f"\n\n---\n\n{USER_TEXT_MARKER}"
    cut = merge_note(ours, None, 1000)
    assert cut.startswith(shown)
    assert cut.endswith(f"...{below}")
    assert len(cut) <= 1000
    assert merge_note("newer", cut, 1000) == f"newer{below}"
    assert merge_note("newer", f"{cut}\n\nmine", 1000) == f"newer{below}\n\nmine"


def test_longest_study_fits_into_what_mlflow_takes(finished: Path) -> None:
    told, built = description.read_description(finished), summary(finished)
    ranges = {f"training.some_long_field_{n}": "v" * 500 for n in range(60)}
    told = dataclasses.replace(
        told, searched=ranges, columns=["c" * 200] * 5000, question="q" * 300, source="s" * 3000, predict="p" * 600
    )
    built["best"]["overrides"] = ["model.nodes=[64]", *(f"training.some_long_field_{n}={'v' * 20}" for n in range(40))]
    assert len(merge_note(descriptions.describe_study(told, typed(built), ""), None, 10**6)) < 8_000
    assert len(merge_note(descriptions.build_model_card(told, typed(built)), None, 10**6)) < 5_000
    assert len(merge_note(descriptions.describe_experiment(told, ""), None, 10**6)) < 5_000
