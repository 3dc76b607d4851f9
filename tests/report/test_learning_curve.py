"""Would more data help: planted laws and what is said of them; the winner refit on parts of its training rows."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.heads import NumberConfig, SoftmaxConfig
from pipeline.config.metrics import METRICS
from pipeline.config.model import Model
from pipeline.config.reader import read_search
from pipeline.config.schema import Training
from pipeline.data.examples import Examples
from pipeline.data.folds import Fold, stratified_subset
from pipeline.report import learning_curve_fits, power_law
from pipeline.report.drawing.figure import Chart, Figure
from pipeline.report.figures.learning_curve import plot_learning_curve
from pipeline.report.learning_curve_fits import LearningCurve
from pipeline.report.trials_table import TrialTable
from pipeline.runtime.signals import SearchInterrupted
from pipeline.study import space
from pipeline.study.problem import Problem
from pipeline.study.trial_record import TrialRecord
from pipeline.training.engine import StreamSeeds
from pipeline.training.epoch import EpochResult
from pipeline.training.fit import cross_validate_trials, fit_trials
from pipeline.training.trials import PredictionTask, TrialResult, TrialSpec
from tests.conftest import picture_examples, question, table_examples

ROWS = (100.0, 250.0, 500.0, 1000.0)
MODEL = Model((8,), "relu", 0.1)
TRAINING = Training(6, 16, 0.01, 0.0, "adamw", 10, flip=False, shift=0)


def nothing(done: int, total: int) -> None:
    """Watches nothing."""


def planted(a: float, b: float, c: float, noise: float, *, error: bool = False, folds: int = 5) -> Figure:
    """The figure of a learning curve that follows a law, but for the folds' noise."""
    off = np.random.default_rng(0).normal(0, noise, (4, folds))
    errors = a + b * np.array(ROWS)[:, None] ** -c + off - off.mean(axis=1, keepdims=True)
    scores = errors if error else 1 - errors
    metric = "mean_absolute_error" if error else "accuracy"
    return plot_learning_curve(
        LearningCurve(ROWS, tuple(map(tuple, scores))),
        TrialTable((), best_of((0.5, 0.5), 1), METRICS[metric], "USD" * error),
    )


def best_of(folds: tuple[float, ...], epoch: int) -> TrialRecord:
    words = ("model.nodes=[8]", "training.learning_rate=0.01", "training.batch_size=16")
    fields = space.without_ranges(read_search(["task=cat_species", "space=none", *words]).space).hyperparameters
    curve = tuple(EpochResult(0.1, folds) for _ in range(epoch))
    return TrialRecord(3, "complete", float(np.mean(folds)), epoch, fields, folds, curve, "", 10, 1.0, 0.0)


def test_planted_law_is_found() -> None:
    errors = 0.1 + 2.0 * np.array(ROWS) ** -0.5
    laws = power_law.fit(np.array(ROWS), np.tile(errors, (5, 1)))
    assert laws.a[0] == pytest.approx(0.1, abs=0.005)
    assert laws.c[0] == pytest.approx(0.5, abs=0.05)
    likely, low, high = laws.gain_from_doubling
    truth = 2.0 * (1000**-0.5 - 2000**-0.5)
    assert (likely, low, high) == pytest.approx((truth,) * 3, abs=0.002)


def test_falling_error_says_gain_with_its_interval() -> None:
    words = planted(0.05, 3.0, 0.5, 0.005).caption
    assert words.startswith("Twice the data would probably gain ")
    low, high = (float(word) for word in words.removeprefix("Twice the data would probably gain ").split()[:3:2])
    assert low <= 100 * 3.0 * (1000**-0.5 - 2000**-0.5) <= high
    assert "points (95 % of the fits to resampled folds)" in words


def test_flat_curve_says_that_more_data_would_not_help() -> None:
    assert planted(0.3, 0.0, 1.0, 0.002).caption.startswith(
        "More data would not help: for twice as much the fit predicts at most 0."
    )


def test_little_gain_is_called_little() -> None:
    """With twice the data the error falls by .0083, less than a point, and nearly every draw says that it falls."""
    words = planted(0.1, 0.9, 0.5, 0.003).caption
    assert words.startswith("Twice the data would probably gain little, 0.")


def test_noise_says_that_it_cannot_be_told() -> None:
    words = planted(0.2, 0.5, 0.5, 0.06).caption
    assert words.startswith("Whether more data would help is uncertain: for twice as much the fit predicts ")


def test_points_on_no_such_curve_say_so() -> None:
    scores = tuple((value,) * 5 for value in (0.10, 0.11, 0.12, 0.60))
    words = plot_learning_curve(
        LearningCurve(ROWS, scores), TrialTable((), best_of((0.5, 0.5), 1), METRICS["accuracy"])
    ).caption
    assert words.startswith("The gain from more data cannot be predicted: the scores do not follow a power law")


def test_error_is_told_in_its_unit() -> None:
    words = planted(50_000, 3_000_000, 0.5, 500, error=True).caption
    assert words.startswith("Twice the data would probably gain ")
    assert "USD less error (95 % of the fits to resampled folds)" in words


def test_few_sizes_are_shown_without_a_fit() -> None:
    made = plot_learning_curve(
        LearningCurve((20.0, 40.0), ((0.5, 0.6), (0.6, 0.7))),
        TrialTable((), best_of((0.6, 0.7), 1), METRICS["accuracy"]),
    )
    assert made.caption.startswith("There are too few training rows")
    assert isinstance(made.content, Chart)
    assert len(made.content.series) == 1


def test_interval_is_wider_where_the_folds_differ_more() -> None:
    def width(noise: float) -> float:
        off = np.random.default_rng(1).normal(0, noise, (5, 4))
        _, low, high = power_law.fit(np.array(ROWS), 0.1 + 2.0 * np.array(ROWS) ** -0.5 + off).gain_from_doubling
        return high - low

    assert width(0.001) < width(0.01) < width(0.03)


def test_repeats_of_the_folds_do_not_narrow_the_interval() -> None:
    """The same scores ten times over are as sure as once."""
    law, off = 0.1 + 2.0 * np.array(ROWS) ** -0.5, np.random.default_rng(1).normal(0, 0.01, (5, 4))
    _, low, high = power_law.fit(np.array(ROWS), law + off).gain_from_doubling
    _, lower, higher = power_law.fit(np.array(ROWS), law + np.tile(off, (10, 1)), repeats=10).gain_from_doubling
    assert higher - lower == pytest.approx(high - low, rel=0.05)


@pytest.mark.parametrize("folds", [3, 5])
def test_gain_lies_in_its_interval_in_nearly_nine_of_ten_simulated_curves(folds: int) -> None:
    """As few folds know little of their own spread: without that they held the truth in 80 and 83 of 100."""
    law, held = 0.05 + 3.0 * np.array([*ROWS, 2000.0]) ** -0.5, 0
    for seed in range(60):
        off = np.random.default_rng(seed).normal(0, 0.01, (folds, 4))
        _, low, high = power_law.fit(np.array(ROWS), law[:4] + off).gain_from_doubling
        held += low <= law[3] - law[4] <= high
    assert held >= 0.87 * 60


def test_part_has_its_share_of_each_class_and_whole_groups() -> None:
    examples = picture_examples(300)
    groups = np.arange(300) // 6
    grouped = Examples(
        examples.inputs, groups % 3, "classes", examples.names, groups, examples.test_mask, examples.classes
    )
    rows = np.arange(30, 270)
    drawn_rows = stratified_subset(grouped, rows, 0.25, 7)
    assert set(drawn_rows) <= set(rows)
    assert len(drawn_rows) == pytest.approx(60, abs=6)
    assert all((groups[rows] == group).sum() == (groups[drawn_rows] == group).sum() for group in groups[drawn_rows])
    assert np.bincount(groups[drawn_rows] % 3).min() >= 18
    assert (drawn_rows == stratified_subset(grouped, rows, 0.25, 7)).all()
    assert (rows == stratified_subset(grouped, rows, 1.0, 7)).all()


def asked(kind: str = "pictures") -> Problem:
    if kind == "pictures":
        return question(picture_examples(150), SoftmaxConfig("softmax"), "accuracy")
    return question(table_examples(200), NumberConfig("number", "relu", "l1", "USD"), "mean_absolute_error")


def test_trials_with_data_of_their_own_are_what_each_is_alone() -> None:
    posed = asked()
    preparation = posed.fold_data_builder()
    trial = TrialSpec(MODEL, TRAINING, StreamSeeds(0, 5), lambda _: False)
    whole = preparation.build_folds(posed.splits)
    halves = [Fold(fold.train[::2], fold.validation) for fold in posed.splits.folds]
    half = [preparation.build_fold(place, fold) for place, fold in enumerate(halves)]
    together = fit_trials(posed.task, [(trial, whole), (trial, half)])
    for outcome, data in zip(together, (whole, half), strict=True):
        (alone,) = cross_validate_trials(posed.task, data, [trial])
        assert (outcome.epoch_results, outcome.best_epoch) == (alone.epoch_results, alone.best_epoch)


@pytest.mark.parametrize("kind", ["pictures", "table"])
def test_curve_has_each_share_and_never_a_test_row(kind: str) -> None:
    posed, best = asked(kind), best_of((0.8, 0.9, 1.0), 4)
    told: list[tuple[int, int]] = []
    curve = learning_curve_fits.measure_learning_curve(posed, 0, best, lambda done, total: told.append((done, total)))
    whole = np.mean([len(fold.train) for fold in posed.splits.folds])
    assert [rows / whole for rows in curve.rows][-3:] == pytest.approx((0.25, 0.5, 1), abs=0.02)
    assert curve.scores[-1] == best.fold_scores
    assert all(len(scores) == 3 and np.isfinite(scores).all() for scores in curve.scores)
    assert told[0][0] == 0
    assert all(done <= total == told[0][1] for done, total in told)
    again = learning_curve_fits.measure_learning_curve(posed, 0, best, nothing)
    assert again == curve
    if kind == "table":  # the pictures are too easy to differ
        assert learning_curve_fits.measure_learning_curve(posed, 1, best, nothing) != curve


def test_epochs_of_parts_are_as_long_as_those_of_all_rows_and_see_no_test_row(monkeypatch: pytest.MonkeyPatch) -> None:
    posed, seen = asked(), []

    def watched(task: PredictionTask, entries: list[learning_curve_fits.TrialWithFolds]) -> list[TrialResult]:
        seen.extend(entries)
        return fit_trials(task, entries)

    monkeypatch.setattr(learning_curve_fits, "fit_trials", watched)
    learning_curve_fits.measure_learning_curve(posed, 0, best_of((0.8, 0.9, 1.0), 4), nothing)
    assert [trial.training.epochs for trial, _ in seen] == [2, 3]  # of 25 and of 50 %
    for _, folds in seen:
        for data, fold in zip(folds, posed.splits.folds, strict=True):
            assert len(data.train) == len(fold.train)
            assert set(data.train.tolist()) < set(fold.train.tolist())
            assert data.validation.tolist() == fold.validation.tolist()
            assert not set(data.train.tolist()) & set(posed.splits.test.tolist())


def test_it_is_trained_once_and_kept(tmp_path: Path) -> None:
    posed, best = asked(), best_of((0.8, 0.9, 1.0), 2)
    told: list[int] = []

    def watch(done: int, _: int) -> None:
        told.append(done)

    first = learning_curve_fits.load_or_measure(posed, 0, best, tmp_path, watch)
    assert told
    told.clear()
    assert learning_curve_fits.load_or_measure(posed, 0, best, tmp_path, watch) == first
    assert not told
    file = tmp_path / learning_curve_fits.LEARNING_CURVE_FILE
    kept = json.loads(file.read_text())
    assert kept["trial"] == 3
    file.write_text(json.dumps(kept | {"trial": 4}))  # of an earlier winner
    learning_curve_fits.load_or_measure(posed, 0, best, tmp_path, watch)
    assert told
    for damaged in ("", "[]", '{"study": 1}', json.dumps(kept | {"rows": ["x"]})):
        told.clear()
        file.write_text(damaged)
        learning_curve_fits.load_or_measure(posed, 0, best, tmp_path, watch)
        assert told


def test_stopped_it_ends_at_once_and_keeps_nothing(tmp_path: Path) -> None:
    posed, best = asked(), best_of((0.8, 0.9, 1.0), 50)
    told: list[int] = []

    def stop(done: int, _: int) -> None:
        told.append(done)
        if done:
            raise SearchInterrupted(130)

    with pytest.raises(SearchInterrupted):
        learning_curve_fits.load_or_measure(posed, 0, best, tmp_path, stop)
    assert len(told) == 2
    assert not list(tmp_path.iterdir())


def test_few_rows_leave_small_shares_out() -> None:
    posed = question(picture_examples(45), SoftmaxConfig("softmax"), "accuracy")
    curve = learning_curve_fits.measure_learning_curve(posed, 0, best_of((0.8, 0.9, 1.0), 2), nothing)
    assert len(curve.rows) == 2
    assert min(curve.rows) >= learning_curve_fits.MIN_ROWS


def test_perfect_scores_say_that_nothing_is_left_to_gain() -> None:
    found = LearningCurve(ROWS, tuple((1.0,) * 5 for _ in ROWS))
    words = plot_learning_curve(found, TrialTable((), best_of((1.0, 1.0), 1), METRICS["accuracy"])).caption
    assert words.startswith("More data would not help: for twice as much the fit predicts no gain.")
