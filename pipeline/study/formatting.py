"""Text of scores, networks and results, shared by the live display, the results table, the report and MLflow's pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.config.metrics import METRICS
from pipeline.study.summary import BaselineSummary, IntervalScore, StudySummary, TestScore, TrialCounts, WinnerSummary


def format_score(value: float, metric: str) -> str:
    """Return a share with three digits, an error with four significant ones or whole; "-" unless it is finite."""
    return METRICS[metric].format(value)


def format_network(hyperparameters: Mapping[str, Any]) -> str:
    """Return the channels of the convolutional blocks, if any, and the widths of the hidden layers."""
    nodes = str(hyperparameters["model.nodes"]).replace("-", ",") or "no hidden layer"
    channels = str(hyperparameters.get("model.channels", "")).replace("-", ",")
    return f"{channels} channels, {nodes}" if channels else nodes


def format_rows(summary: StudySummary) -> list[tuple[str, str, str, str]]:
    """Return the lines of the results table: name, hidden layers, cross-validation score, test score."""
    best = summary.best
    test = summary.test
    baseline = summary.baseline
    metric = test.metric
    winner_row = (
        f"winner (trial {best.number})",
        format_hidden_layers(best),
        format_mean(best, metric),
        format_interval(test, metric),
    )
    constant_row = ("constant baseline", "", "", format_score(summary.majority.value, metric))
    if baseline is None:
        return [winner_row, constant_row]
    baseline_row = (
        "baseline",
        format_hidden_layers(baseline),
        format_mean(baseline, metric),
        format_interval(baseline.test, metric),
    )
    validation_gain, test_gain = (format_gain(*pair, metric) for pair in score_pairs(summary))
    return [baseline_row, winner_row, ("gain", "", validation_gain, test_gain), constant_row]


def format_trial_counts(trials: TrialCounts) -> str:
    """Return the number of trials and, in brackets, of each state: "4 trials (3 complete, 1 pruned)"."""
    parts = [f"{count} {state}" for state, count in vars(trials).items() if state != "total" and count]
    return f"{trials.total} trial{'s' * (trials.total != 1)} ({', '.join(parts)})"


def format_times(count: int) -> str:
    """Return "once" or "2 times"."""
    return "once" if count == 1 else f"{count} times"


def format_hidden_layers(network: BaselineSummary | WinnerSummary) -> str:
    """Return the network of the baseline or of the winner, read from its overrides."""
    overrides = dict(word.split("=", 1) for word in network.overrides)
    return format_network(
        {key: value.strip("[]") for key, value in overrides.items() if key in ("model.nodes", "model.channels")}
    )


def format_mean(network: BaselineSummary | WinnerSummary, metric: str) -> str:
    """Return the cross-validation score ± its standard error."""
    scores = network.cross_validation
    return f"{format_score(scores.mean, metric)} ± {format_score(scores.standard_error, metric)}"


def format_interval(test_score: IntervalScore | TestScore, metric: str) -> str:
    """Return a test score with its interval."""
    value, low, high = (format_score(score, metric) for score in (test_score.value, test_score.low, test_score.high))
    return f"{value} ({low} to {high})"


def score_pairs(summary: StudySummary) -> list[tuple[float, float]]:
    """Return the scores of winner and baseline, first in cross-validation, then on the test set."""
    baseline = summary.baseline
    if baseline is None:
        return []
    return [
        (summary.best.cross_validation.mean, baseline.cross_validation.mean),
        (summary.test.value, baseline.test.value),
    ]


def format_gain(winner: float, baseline: float, metric: str) -> str:
    """Return the signed improvement of the winner; of an error, by how much it fell."""
    difference = METRICS[metric].improvement(winner, baseline)
    return ("+" if difference >= 0 else "-") + format_score(abs(difference), metric)
