"""The report: figures of the trials, drawn twice, and one page that a real browser opens without a request."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mlflow import MlflowClient
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, create_trial
from PIL import Image
from rich.console import Console

from pipeline.config.metrics import METRICS
from pipeline.report import build, headline, trial_figures
from pipeline.report.drawing import render_matplotlib, render_plotly
from pipeline.report.drawing.figure import Chart, Figure, Heatmap, ImageGrid, Series
from pipeline.report.drawing.style import PALETTE, compute_log_ticks
from pipeline.report.figures.optimization_history import plot_optimization_history
from pipeline.report.network_selection import find_pareto_front, resample_one_se_trials, select_by_one_se_rule
from pipeline.report.tables import count_endings, format_trials
from pipeline.report.trials_table import TrialTable
from pipeline.study.importance import MIN_COMPLETE_TRIALS, compute_importances
from pipeline.study.trial_record import TrialRecord, TrialStatus
from pipeline.training.epoch import EpochResult
from tests.conftest import TINY, search

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NASTY = '<script>alert("$x^2$")</script> \x1b[31m 고양이'


def row(
    number: int, folds: tuple[float, ...], parameters: int, nodes: str = "64", state: TrialStatus = "complete"
) -> TrialRecord:
    """A trial with made-up scores, the best of its three epochs the second."""
    finite = bool(folds)
    curve = (
        tuple(EpochResult(1.0, tuple(score - less for score in folds)) for less in (0.1, 0.0, 0.05)) if finite else ()
    )
    reason = "all epochs done" if state == "complete" else f"RuntimeError: {NASTY}"
    fields = {
        "model.layers": len(nodes.split("-")) if nodes else 0,
        "model.nodes": nodes,
        "training.learning_rate": 0.1,
    }
    value = sum(folds) / len(folds) if finite else float("nan")
    return TrialRecord(
        number, state, value, 2 if finite else 0, fields, folds, curve, reason, parameters, 1.5, 1000.0 + number
    )


def tried(*rows: TrialRecord, metric: str = "accuracy", unit: str = "") -> TrialTable:
    best = TrialTable(rows, rows[0], METRICS[metric], unit)
    return replace(best, best=best.select_best(best.complete_trials))


def many(count: int, seed: int = 0) -> TrialTable:
    noise = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        width = int(noise.integers(4, 200))
        score = 0.5 + 0.05 * np.log10(width) + noise.normal(0, 0.02)
        folds = tuple(float(score + each) for each in noise.normal(0, 0.03, 3))
        rows.append(row(number, folds, 100 * width, str(width), "pruned" if number % 5 == 4 else "complete"))
    return tried(*rows)


@pytest.mark.parametrize(
    ("constant", "said"),
    [
        (0.5, "The constant baseline, fitted to the training rows, has 0.500."),
        (0.65, "has 0.650, which is within the interval: the winner may be no better."),
        (0.7, "has 0.700: the winner is no better."),
    ],
)
def test_winner_is_compared_with_the_constant_baseline(constant: float, said: str) -> None:
    tested = SimpleNamespace(value=0.7, low=0.6, high=0.8, rows=100, metric="accuracy", evaluations=1)
    constant_baseline = SimpleNamespace(value=constant)
    summary = SimpleNamespace(test=tested, baseline=None, constant_baseline=constant_baseline, references=())
    assert headline.describe_winner(summary, tried(row(0, (0.7, 0.7, 0.7), 10))).endswith(said)


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (0.9, "Better than the winner on the same held-out rows: gradient boosting (0.900). The winner of"),
        (0.75, "gradient boosting (0.750); the difference is within the interval of the winner. The winner of"),
        (0.65, None),
    ],
)
def test_reference_that_is_better_is_named_first(score: float, said: str | None) -> None:
    tested = SimpleNamespace(value=0.7, low=0.6, high=0.8, rows=100, metric="accuracy", evaluations=1)
    reference = SimpleNamespace(title="gradient boosting", test=SimpleNamespace(value=score))
    constant_baseline = SimpleNamespace(value=0.5)
    summary = SimpleNamespace(test=tested, baseline=None, constant_baseline=constant_baseline, references=(reference,))
    words = headline.describe_winner(summary, tried(row(0, (0.7, 0.7, 0.7), 10)))
    assert said in words if said else words.startswith("The winner of")


def test_best_possible_score_is_not_said_to_be_beaten_by_more_trials() -> None:
    words = plot_optimization_history(tried(row(0, (0.9,) * 3, 10), row(1, (1.0,) * 3, 10))).caption
    assert words.endswith("No score can be better.")


def test_smallest_network_is_within_one_standard_error_of_the_best() -> None:
    """The best has 0.80 ± 0.058: 0.76 is within, 0.70 is not."""
    small, enough, large = row(0, (0.7, 0.7, 0.7), 10), row(1, (0.76, 0.76, 0.76), 100), row(3, (0.79,) * 3, 500)
    study = tried(small, enough, row(2, (0.7, 0.8, 0.9), 1_000), large)
    assert study.best.number == 2
    assert select_by_one_se_rule(study).number == 1
    assert [each.number for each in find_pareto_front(study)] == [0, 1, 3, 2]


def test_smallest_network_is_sought_again_among_folds_drawn_with_replacement() -> None:
    """Of 27 draws of the folds 0.7, 0.8, 0.9: 0.76 is within a standard error of the best in 6, the best itself in 17.

    Where they are equal or the first is low, the steady 0.79 is the best by itself.
    """
    steady = [row(number, (score,) * 3, 10) for number, score in ((0, 0.7), (1, 0.76), (3, 0.79))]
    study = tried(*steady, row(2, (0.7, 0.8, 0.9), 1_000))
    shares = Counter(tuple(sorted(each.number for each in rows)) for rows in resample_one_se_trials(study))
    assert set(shares) == {(1, 2, 3), (2, 3), (2,), (3,)}
    drawn = {kind: count / shares.total() for kind, count in shares.items()}
    assert drawn == pytest.approx({(1, 2, 3): 6 / 27, (2, 3): 3 / 27, (2,): 8 / 27, (3,): 10 / 27}, abs=0.05)
    assert resample_one_se_trials(study) == resample_one_se_trials(study)


def test_smallest_of_an_error_is_found_downwards() -> None:
    study = tried(
        row(0, (9.0, 9.1, 8.9), 10), row(1, (5.0, 5.2, 5.1), 50), row(2, (4.8, 5.0, 5.2), 500),
        metric="mean_absolute_error", unit="years",
    )  # fmt: skip
    assert (study.best.number, select_by_one_se_rule(study).number) == (2, 1)
    words = trial_figures.build_trial_figures(study, [])[1].caption
    assert "5 ± 0.1155 years" in words
    assert "trial 1 (64 nodes), with 5.1 ± 0.05774 years and 50 parameters: 10 times fewer" in words


def test_resampling_draws_as_many_folds_as_the_rows_are_in_at_a_time() -> None:
    """Repeats judge by the same rows again: what was unsure with one drawing stays so with many of them."""
    noise = np.random.default_rng(0)
    found = [tuple(map(float, score + noise.normal(0, 0.1, 30))) for score in (0.7, 0.73)]
    rows = [row(number, folds, 10 + number) for number, folds in enumerate(found)]
    both = [tried(*(replace(each, repeats=repeats) for each in rows)) for repeats in (1, 10)]
    certain, unsure = (np.mean([len(each) == 1 for each in resample_one_se_trials(study)]) for study in both)
    assert both[1].best.standard_error == pytest.approx(both[0].best.standard_error * np.sqrt(10))
    assert unsure < certain


def test_best_is_found_by_its_number_where_numbers_are_missing() -> None:
    """Of a batch whose minutes were over, some trials have not ended."""
    summary = SimpleNamespace(best=SimpleNamespace(number=5), test=SimpleNamespace(metric="accuracy"))
    rows = [row(number, (score,) * 3, 10) for number, score in ((5, 0.9), (0, 0.5), (2, 0.7), (7, 0.6))]
    study = TrialTable.from_records(rows, summary, "years")
    assert [each.number for each in study.trials] == [0, 2, 5, 7]
    assert (study.best.number, study.unit) == (5, "")
    assert "The 1 trial after it found nothing better." in plot_optimization_history(study).caption


def test_history_says_what_was_found_and_when() -> None:
    words = plot_optimization_history(many(20)).caption
    assert re.match(
        r"20 trials: 16 complete and 4 pruned\. The best, trial \d+ \(\d+ nodes\), has 0\.\d{3} ± 0\.", words
    )
    first = tried(row(0, (0.9, 0.9, 0.9), 10), row(1, (0.5, 0.6, 0.5), 10), row(2, (), 10, state="failed"))
    assert "2 complete and 1 failed" in plot_optimization_history(first).caption
    assert "no other was better" in plot_optimization_history(first).caption


def test_absurd_score_stands_at_the_edge_and_is_said() -> None:
    rows = [row(number, (5.0 + number / 10,) * 2 + (5.0,), 10) for number in range(8)]
    study = tried(*rows, row(8, (1e12, 1e12, 2e12), 10), metric="mean_absolute_error")
    figure = plot_optimization_history(study)
    assert isinstance(figure.content, Chart)
    assert max(y for series in figure.content.series for y in series.y) < 100
    assert "1 trial with a far worse score is drawn at the edge" in figure.caption


def test_each_figure_has_words_with_numbers_also_when_it_shows_nothing() -> None:
    for study in (many(30), tried(row(0, (0.5, 0.6, 0.7), 10)), tried(row(0, (0.5, 0.6, 0.7), 10, nodes=""))):
        figures = trial_figures.build_trial_figures(study, [])
        assert [figure.name for figure in figures] == ["history", "size", "importance", "layers", "nodes", "curves"]
        assert all(re.search(r"\d", figure.caption) for figure in figures)
        for figure in figures:
            assert Image.open(io.BytesIO(render_matplotlib.render_png(figure))).size[0] == 1_200
            render_plotly.render_html(figure)
    assert "Too few complete trials for importances: 1, and 15 are needed" in figures[2].caption
    assert "1 complete trial, with no hidden layer: other numbers of layers cannot be compared" in figures[3].caption


def frozen(count: int, seed: int = 0) -> list[FrozenTrial]:
    """Trials whose score one hyperparameter decides, and another does not."""
    drawn = np.random.default_rng(seed).random((count, 2))
    return [scored(each, float(each[0])) for each in drawn]


def scored(drawn: NDArray[np.float64], score: float) -> FrozenTrial:
    """A trial of as many hyperparameters as there are numbers, `training.a` the first."""
    params = {f"training.{letter}": float(value) for letter, value in zip("abcdefgh", drawn, strict=False)}
    return create_trial(params=params, distributions={key: FloatDistribution(0, 1) for key in params}, value=score)


def test_importance_is_that_of_what_decides_and_is_beyond_chance() -> None:
    first, second = compute_importances(frozen(60), maximize=True)
    assert (first.hyperparameter, second.hyperparameter) == ("training.a", "training.b")
    assert first.share > 0.99 > first.max_chance_level == max(first.chance_level, second.chance_level)
    assert second.share < 0.01 < second.chance_level
    assert first.share + second.share == pytest.approx(1)
    figure = trial_figures.plot_param_importances(many(60), [first, second])
    assert figure.caption.endswith("Above the 95 % quantile of the largest share for shuffled scores: a.")
    assert compute_importances(frozen(MIN_COMPLETE_TRIALS - 1), maximize=True) == []


def test_importance_of_noise_is_named_one_time_in_twenty() -> None:
    """With a threshold for each of five hyperparameters one would be named in half of the studies."""
    said = []
    for seed in range(30):
        noise = np.random.default_rng(seed)
        important = compute_importances(
            [scored(noise.random(5), float(noise.random())) for _ in range(20)], maximize=True
        )
        said.append(trial_figures.plot_param_importances(many(20), important).caption)
    assert sum("so none is significant" not in words for words in said) <= 4


def test_names_from_outside_are_text_in_every_drawing() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    drawn = (
        Chart(NASTY, NASTY, (Series(NASTY, "points", [1, 2], [1, 2], point_labels=[NASTY, NASTY]),)),
        Chart("x", "y", (Series(NASTY, "bars", [NASTY, "b"], [1, 2], [0.5, 1], [1.5, 3]),)),
        Heatmap(NASTY, "y", (NASTY, "b"), (NASTY, "b"), np.eye(2)),
        ImageGrid((pixels,), (NASTY,)),
    )
    for each in drawn:
        figure = Figure("nasty", NASTY, NASTY, each)
        fragment = render_plotly.render_html(figure)
        assert "<script" not in fragment
        assert "\x1b" not in fragment
        assert render_matplotlib.render_png(figure)[:4] == b"\x89PNG"


def test_colours_have_contrast_on_light_and_on_dark() -> None:
    """At least 3:1 to the page (WCAG 2.2, 1.4.11)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in PALETTE:
        assert 1.05 / (luminance(colour) + 0.05) >= 3
        assert (luminance(colour) + 0.05) / (luminance("#14171c") + 0.05) >= 3


@pytest.mark.parametrize(
    ("x", "labels"),
    [
        ((2_100, 4_800), ["2.1k", "4.8k"]),  # between 2k and 5k, of which neither is drawn
        ((7_765, 7_765), ["7.765k"]),
        ((150, 450), ["100", "200", "500"]),
        ((20, 90_000), ["10", "100", "1k", "10k", "100k"]),
    ],
)
def test_logarithmic_axis_has_a_number(x: tuple[float, ...], labels: list[str]) -> None:
    at = compute_log_ticks(Chart("x", "y", (Series("s", "points", x, x),), log_x=True))
    assert list(at.values()) == labels
    assert any(min(x) <= place <= max(x) for place in at)


def test_drawing_touches_no_pyplot() -> None:
    code = (
        "import sys; from pipeline.report.drawing import render_matplotlib; "
        "from pipeline.report.drawing.figure import *; "
        "render_matplotlib.render_png(Figure('a', 'a', 'a', Chart('x', 'y', (Series('s', 'line', [1, 2], [1, 2]),)))); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_table_lists_the_best_first_and_endings_count_all() -> None:
    study = tried(
        row(0, (0.5, 0.5, 0.5), 10), row(1, (0.8, 0.8, 0.8), 10, state="pruned"), row(2, (0.7, 0.7, 0.7), 10),
        row(3, (), 10, state="failed"),
    )  # fmt: skip
    assert [line[0] for line in format_trials(study)] == ["2", "0", "1", "3"]
    assert sum(count for _, count, _ in count_endings(study)) == 4
    assert len(format_trials(many(130))) == 100


@pytest.fixture(scope="module")
def page(finished: Path) -> Path:
    return finished / "report" / "report.html"


def test_page_has_the_winner_its_score_and_its_command(page: Path) -> None:
    text = page.read_text()
    assert len(text) < 10_000_000
    assert text.count("<h1>") == 1
    assert '<html lang="en">' in text
    assert re.search(r"cat_species: Which breed is it\?", text)
    assert re.search(r"The winner of 4 trials is trial \d+ \(.*\): accuracy 0\.\d{3} on 24 held-out rows", text)
    assert "python -m pipeline.predict model=" in text
    assert 'scope="col"' in text
    names = ["history", "size", "importance", "layers", "nodes", "curves"]
    assert [name for name in names if f'id="{name}"' in text] == names
    assert {f"{name}.png" for name in names} <= {file.name for file in (page.parent / "figures").iterdir()}


def test_report_is_in_mlflow(finished: Path) -> None:
    client = MlflowClient(f"sqlite:///{finished.parents[1]}/mlflow.db")
    experiment = client.get_experiment_by_name("cat_species")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.kind = 'study'")
    assert "report/report.html" in [file.path for file in client.list_artifacts(run.info.run_id, "report")]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_browser_draws_every_figure_without_a_request(page: Path, width: int, scheme: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        requests, errors = list[str](), list[str]()
        opened.on("request", lambda request: requests.append(request.url))
        opened.on("console", lambda message: errors.append(message.text))
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(page.resolve().as_uri())
        opened.wait_for_selector(".plot .main-svg")
        drawn, placed = (opened.locator(at).count() for at in (".plot:has(.main-svg)", "[data-plot]"))
        across = opened.evaluate("document.documentElement.scrollWidth")
        ink = opened.evaluate("getComputedStyle(document.querySelector('.xtick text')).fill")
        browser.close()
    assert [url for url in requests if not url.startswith("data:")] == [page.resolve().as_uri()]
    assert errors == []
    assert drawn == placed >= 5
    assert across == width
    assert ink == ("rgb(27, 31, 36)" if scheme == "light" else "rgb(230, 232, 235)")


def test_report_on_a_terminal_lacks_nothing(
    finished: Path, store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished, store / "studies" / finished.name)
    folder = store / "studies" / finished.name
    shutil.rmtree(folder / "report")
    monkeypatch.setenv("FORCE_COLOR", "1")
    search(store, "task=cat_species", *TINY, "dataset.count=120", "budget.trials=4", report=True)
    said = capsys.readouterr().out
    assert "report: learning curve" in said
    assert "failed" not in said
    drawn, before = ({file.name for file in (place / "report" / "figures").iterdir()} for place in (folder, finished))
    assert drawn == before
    assert "more_data.png" in drawn


def test_reason_that_looks_like_markup_is_said_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("[/red] [bold]")

    monkeypatch.setattr(build, "_ReportBuilder", refuse)
    said = io.StringIO()
    build.build_report(Console(file=said), tmp_path, None, None, {}, {})  # type: ignore[arg-type]
    assert said.getvalue() == "report: failed (ValueError: [/red] [bold]). The result of the search is not affected.\n"


def test_report_that_fails_costs_a_line_and_is_made_by_the_next_start(
    finished: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, store / "studies" / finished.name)
    folder = store / "studies" / finished.name
    shutil.rmtree(folder / "report")
    (folder / "report").write_text("in the way")
    words = ["task=cat_species", *TINY, "dataset.count=120", "budget.trials=4"]
    search(store, *words, report=True)
    said = capsys.readouterr().out
    assert len([line for line in said.splitlines() if line.startswith("report: failed (FileWriteError: ")]) == 1
    assert "winner" in said
    assert not build.has_report(folder)
    (folder / "report").unlink()
    search(store, *words, report=True)
    assert build.has_report(folder)
    assert "report/report.html" in capsys.readouterr().out
