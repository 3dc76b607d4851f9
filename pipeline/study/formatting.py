"""Text of scores, networks and results for the live display, the results table, the report and MLflow's pages."""

from collections.abc import Mapping
from typing import Any

from pipeline.config.metrics import METRICS
from pipeline.runtime.text import pluralize
from pipeline.study.summary import (
    BaselineSummary,
    CrossValidationScore,
    IntervalScore,
    StudySummary,
    TestScore,
    TrialCounts,
    WinnerSummary,
)


def format_score(value: float, metric: str) -> str:
    """Return a share with three digits, an error with four significant ones or whole; "-" unless it is finite."""
    return METRICS[metric].format(value)


def format_network(hyperparameters: Mapping[str, Any]) -> str:
    """Return the channels of the convolutional blocks, if any, and the widths of the hidden layers."""
    nodes = str(hyperparameters["model.nodes"]).replace("-", ",") or "no hidden layer"
    channels = str(hyperparameters.get("model.channels", "")).replace("-", ",")
    return f"{channels} channels, {nodes}" if channels else nodes


def format_rows(summary: StudySummary) -> list[tuple[str, ...]]:
    """Return the lines of the results table: name, hidden layers, cross-validation score, test score."""
    metric = summary.test.metric
    rows = [_format_row(f"winner (trial {summary.best.number})", summary.best, summary.test)]
    if summary.baseline is not None:
        gains = [format_gain(*pair, metric) for pair in score_pairs(summary)]
        rows = [_format_row("baseline", summary.baseline, summary.baseline.test), *rows, ("gain", "", *gains)]
    rows += [_format_scores(each.title, "", each.cross_validation, each.test) for each in summary.references]
    return [*rows, ("constant baseline", "", "", format_score(summary.constant_baseline.value, metric))]


def _format_row(
    name: str, network: BaselineSummary | WinnerSummary, test: IntervalScore | TestScore
) -> tuple[str, ...]:
    return _format_scores(name, format_hidden_layers(network), network.cross_validation, test)


def _format_scores(
    name: str, network: str, scores: CrossValidationScore, test: IntervalScore | TestScore
) -> tuple[str, ...]:
    """Return the line of a model: cross-validation score ± its standard error, test score with its interval."""
    mean, error = (format_score(score, scores.metric) for score in (scores.mean, scores.standard_error))
    value, low, high = (format_score(score, scores.metric) for score in (test.value, test.low, test.high))
    return name, network, f"{mean} ± {error}", f"{value} ({low} to {high})"


def format_trial_counts(trials: TrialCounts) -> str:
    """Return the number of trials and, in brackets, of each state: "4 trials (3 complete, 1 pruned)"."""
    parts = [f"{count} {state}" for state, count in vars(trials).items() if state != "total" and count]
    return f"{pluralize(trials.total, 'trial')} ({', '.join(parts)})"


def format_size(summary: StudySummary) -> str:
    """Return the number of parameters of the final model and, if there are several, of its networks."""
    n_networks = summary.champion.networks
    networks = f" in {n_networks} networks" if n_networks > 1 else ""
    return f"{summary.parameters:,} parameters{networks}"


def format_times(count: int) -> str:
    """Return "once" or "2 times"."""
    return "once" if count == 1 else f"{count} times"


def format_hidden_layers(network: BaselineSummary | WinnerSummary) -> str:
    """Return the network of the baseline or of the winner, read from its overrides."""
    overrides = dict(override.split("=", 1) for override in network.overrides)
    keys = ("model.nodes", "model.channels")
    return format_network({key: overrides[key].strip("[]") for key in keys if key in overrides})


def score_pairs(summary: StudySummary) -> list[tuple[float, float]]:
    """Return the scores of winner and baseline, first in cross-validation, then on the test set."""
    baseline = summary.baseline
    if baseline is None:
        return []
    means = (summary.best.cross_validation.mean, baseline.cross_validation.mean)
    return [means, (summary.test.value, baseline.test.value)]


def format_gain(winner: float, baseline: float, metric: str) -> str:
    """Return the signed improvement of the winner; of an error, by how much it fell."""
    difference = METRICS[metric].improvement(winner, baseline)
    return ("+" if difference >= 0 else "-") + format_score(abs(difference), metric)
