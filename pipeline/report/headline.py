"""Headline of a study: sentences and metric tiles at the top of its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.report.network_selection import count_layers, select_by_one_se_rule
from pipeline.report.phrases import describe_network, describe_trial, format_widths, join_with_and, pluralize
from pipeline.report.trials_table import TrialTable
from pipeline.runtime.text import shorten
from pipeline.study.formatting import format_gain, format_hidden_layers, score_pairs
from pipeline.study.summary import BaselineSummary, StudySummary

MAX_LISTED_CLASSES = 40


class MetricTile(NamedTuple):
    """A value with its name and a note, shown at the top of the page."""

    name: str
    value: str
    note: str


def format_question(head: Mapping[str, Any]) -> str:
    """Return a default question for the head of an architecture file."""
    match head["kind"]:
        case "softmax":
            return f"which one of {len(head['classes'])}?"
        case "sigmoid":
            return f"{shorten(head['classes'][1])} or {shorten(head['classes'][0])}?"
        case "sigmoids":
            return f"which of {len(head['labels'])} labels?"
        case "bands":
            return f"which of {len(head['edges']) + 1} bands{_format_unit(head)}?"
    return f"how much{_format_unit(head)}?"


def describe_outputs(head: Mapping[str, Any]) -> str:
    """Return the classes, labels, bands or range of numbers that a network can predict."""
    names = [shorten(name) for name in head.get("classes", head.get("labels", ()))]
    if names:
        more = f" and {len(names) - MAX_LISTED_CLASSES} more" if len(names) > MAX_LISTED_CLASSES else ""
        return f"{', '.join(names[:MAX_LISTED_CLASSES])}{more}"
    if head["kind"] == "bands":
        return f"bands with the edges {join_with_and([f'{edge:g}' for edge in head['edges']])}{_format_unit(head)}"
    return f"a number{_format_unit(head)}{', never below 0' if head['output'] == 'relu' else ''}"


def _format_unit(head: Mapping[str, Any]) -> str:
    return f" of {shorten(head['unit'])}" if head["unit"] else ""


def describe_winner(summary: StudySummary, table: TrialTable) -> str:
    """Return the winner, its test score with the interval, and its gain over the baseline and the constant baseline."""
    test = summary.test
    baseline = summary.baseline
    score = f"{table.metric.title} {table.format_value(test.value)} on {test.rows:,} held-out rows"
    between = f"95 % interval {table.metric.format(test.low)} to {table.format_value(test.high)}"
    sentences = [
        f"The winner of {pluralize(len(table.trials), 'trial')} is {describe_trial(table.best)}: {score} ({between}).",
        _compare_with_baseline(summary, baseline, table) if baseline is not None else "",
        _compare_with_constant(summary, table),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _compare_with_constant(summary: StudySummary, table: TrialTable) -> str:
    test = summary.test
    constant = summary.majority.value
    sentence = f"The constant baseline, fitted to the training rows, has {table.format_value(constant)}"
    if table.improvement(test.value, constant) <= 0:
        return f"{sentence}: the winner is no better."
    if test.low <= constant <= test.high:
        return f"{sentence}, which is within the interval: the winner may be no better."
    return f"{sentence}."


def _compare_with_baseline(summary: StudySummary, baseline: BaselineSummary, table: TrialTable) -> str:
    test = summary.test
    baseline_value = baseline.test.value
    if summary.best.number == 0:
        return "The winner is the baseline: no trial of the search was better."
    improvement = table.improvement(test.value, baseline_value)
    network = format_widths(format_hidden_layers(baseline))
    score = f"the baseline ({network}), which has {table.format_value(baseline_value)}"
    if improvement <= 0:
        return f"That is no better than {score}."
    within = ": a difference within the interval" if test.low <= baseline_value <= test.high else ""
    return f"That is {table.format_value(improvement)} better than {score}{within}."


def build_metric_tiles(summary: StudySummary, table: TrialTable) -> list[MetricTile]:
    """Return the tiles of test score, gain over the baseline, constant baseline and number of parameters."""
    test = summary.test
    metric = table.metric
    baseline = summary.baseline
    smallest = select_by_one_se_rule(table)
    between = f"{metric.format(test.low)} to {table.format_value(test.high)}, 95 % interval"
    size_note = (
        "no smaller network of the search is within one standard error"
        if smallest is table.best
        else f"{smallest.n_parameters:,} in the smallest network within one standard error, {describe_trial(smallest)}"
    )
    tiles = [
        MetricTile(f"{metric.title}, held-out test", table.format_value(test.value), between),
        MetricTile("constant baseline", table.format_value(summary.majority.value), "fitted to the training rows"),
        MetricTile("parameters", f"{summary.parameters:,}", f"{_describe_depth(table)}; {size_note}"),
    ]
    if baseline is not None:
        validated, tested = (format_gain(*pair, metric.name) for pair in score_pairs(summary))
        unit = f" {table.unit}" if table.unit else ""
        tiles.insert(
            1, MetricTile("gain over the baseline", f"{tested}{unit}", f"{validated}{unit} in cross-validation")
        )
    return tiles


def _describe_depth(table: TrialTable) -> str:
    count = count_layers(table.best)
    return (
        f"{pluralize(count, 'hidden layer')}: {describe_network(table.best)}" if count else describe_network(table.best)
    )
