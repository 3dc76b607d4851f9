"""Headline of a study: sentences and metric tiles at the top of its page."""

from pipeline.models.heads import AnyHead, NumberHead
from pipeline.report.network_selection import count_layers, select_by_one_se_rule
from pipeline.report.phrases import (
    add_unit,
    describe_network,
    describe_trial,
    format_layers,
    format_widths,
    join_with_and,
)
from pipeline.report.trials_table import TrialTable
from pipeline.runtime.text import pluralize, shorten
from pipeline.study.formatting import format_gain, format_hidden_layers, score_pairs
from pipeline.study.summary import BaselineSummary, StudySummary

MAX_LISTED_CLASSES = 40


def format_question(head: AnyHead, unit: str) -> str:
    """Return a default question: what the head predicts."""
    n_outputs = len(head.output_names)
    match head.prediction_kinds:
        case ("numbers",):
            return f"{add_unit('how much', shorten(unit))}?"
        case ("labels",):
            return f"which of {n_outputs} labels?"
        case ("classes",) if n_outputs > 2:
            return f"which of {n_outputs} classes?"
        case ("classes",):
            return f"{' or '.join(map(shorten, head.output_names))}?"
    return f"{add_unit(f'which of {n_outputs} bands', shorten(unit))}?"


def describe_outputs(head: AnyHead, unit: str) -> str:
    """Return the classes, labels, bands or range of numbers that a network can predict."""
    if head.prediction_kinds[0] == "numbers":
        minimum = ", never below 0" if isinstance(head, NumberHead) and head.output == "relu" else ""
        return add_unit("a number", shorten(unit)) + minimum
    names = list(map(shorten, head.output_names))
    more = f" and {len(names) - MAX_LISTED_CLASSES} more" if len(names) > MAX_LISTED_CLASSES else ""
    return f"{', '.join(names[:MAX_LISTED_CLASSES])}{more}"


def describe_winner(summary: StudySummary, table: TrialTable) -> str:
    """Return the winner, its test score with the interval, and its gain over the baseline and the constant baseline."""
    test = summary.test
    baseline = summary.baseline
    score = f"{table.metric.title} {table.format_value(test.value)} on {test.rows:,} held-out rows"
    between = f"95 % interval {table.metric.format(test.low)} to {table.format_value(test.high)}"
    sentences = [
        _name_better_references(summary, table),
        f"The winner of {pluralize(len(table.trials), 'trial')} is {describe_trial(table.best)}: {score} ({between}).",
        _compare_with_baseline(summary, baseline, table) if baseline is not None else "",
        _compare_with_constant(summary, table),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _name_better_references(summary: StudySummary, table: TrialTable) -> str:
    """Return the references that are better on the test set, or ""."""
    value = summary.test.value
    better = [each for each in summary.references if table.improvement(each.test.value, value) > 0]
    if not better:
        return ""
    scores = join_with_and([f"{each.title} ({table.format_value(each.test.value)})" for each in better])
    within = all(summary.test.low <= each.test.value <= summary.test.high for each in better)
    caveat = "; the difference is within the interval of the winner" if within else ""
    return f"Better than the winner on the same held-out rows: {scores}{caveat}."


def _compare_with_constant(summary: StudySummary, table: TrialTable) -> str:
    test = summary.test
    constant = summary.constant_baseline.value
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


def build_metric_tiles(summary: StudySummary, table: TrialTable) -> list[tuple[str, str, str]]:
    """Return name, value and note of test score, gain over the baseline, constant baseline and number of parameters."""
    test = summary.test
    metric = table.metric
    between = f"{metric.format(test.low)} to {table.format_value(test.high)}, 95 % interval"
    tiles = [(f"{metric.title}, held-out test", table.format_value(test.value), between)]
    if summary.baseline is not None:
        unit = f" {table.unit}" if table.unit else ""
        validated, tested = (f"{format_gain(*pair, metric.name)}{unit}" for pair in score_pairs(summary))
        tiles.append(("gain over the baseline", tested, f"{validated} in cross-validation"))
    constant = table.format_value(summary.constant_baseline.value)
    tiles.append(("constant baseline", constant, "fitted to the training rows"))
    smallest = select_by_one_se_rule(table)
    note = "no smaller network of the search is within one standard error"
    if smallest is not table.best:
        size = f"{smallest.n_parameters:,}"
        note = f"{size} in the smallest network within one standard error, {describe_trial(smallest)}"
    depth = format_layers(count_layers(table.best))
    network = describe_network(table.best)
    layers = network if network == depth else f"{depth}: {network}"
    n_networks = summary.champion.networks
    averaged = f"{n_networks} networks, whose predictions are averaged; " if n_networks > 1 else ""
    return [*tiles, ("parameters", f"{summary.parameters:,}", f"{averaged}{layers}; {note}")]
