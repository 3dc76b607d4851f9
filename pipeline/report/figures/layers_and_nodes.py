"""The two questions of the product, one at a time: score against hidden layers, and against nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.figures.score_vs_parameters import count_layers, count_nodes
from pipeline.report.trials_table import TrialTable, join_with_and, pluralize
from pipeline.study.trial_record import TrialRecord

MIN_TRIALS = 4  # trials with hidden layers, below which halves of them say nothing


def plot_layers_slice(table: TrialTable) -> Figure:
    """Each complete trial by its number of hidden layers, and the best of each number."""
    trials = table.complete_trials
    best = [
        table.select_best([row for row in trials if count_layers(row) == count])
        for count in sorted({*map(count_layers, trials)})
    ]
    line = Series(
        "best of each",
        "line",
        [count_layers(row) for row in best],
        [table.clip_score(row.value) for row in best],
        [table.clip_score(row.value - row.standard_error) for row in best],
        [table.clip_score(row.value + row.standard_error) for row in best],
    )
    chart = Chart(
        "hidden layers", table.score_axis_title, (line, _plot_points(table, "complete trials", trials, count_layers))
    )
    return Figure("layers", "How many hidden layers", _format_layers_caption(table, best), chart)


def _plot_points(
    table: TrialTable, name: str, trials: Sequence[TrialRecord], x_value: Callable[[TrialRecord], int]
) -> Series:
    y, labels = [table.clip_score(row.value) for row in trials], [table.format_hover_text(row) for row in trials]
    return Series(name, "points", [x_value(row) for row in trials], y, point_labels=labels)


def _format_layers_caption(table: TrialTable, best: Sequence[TrialRecord]) -> str:
    counts = {
        count_layers(row): sum(count_layers(other) == count_layers(row) for other in table.complete_trials)
        for row in best
    }
    if len(best) == 1:
        trial_count = pluralize(len(table.complete_trials), "complete trial")
        return f"{trial_count}, with {_format_layer_count(count_layers(best[0]))}: nothing can be said about other numbers."
    score_texts = [
        f"{table.format_trial_score(row)} with {_format_layer_count(count_layers(row))} ({pluralize(counts[count_layers(row)], 'trial')})"
        for row in best
    ]
    best_trial, error = table.select_best(best), table.best.standard_error
    fewest = next(row for row in best if table.improvement(row.value, best_trial.value) >= -error)
    sentence = f"The best of each number: {join_with_and(score_texts)}."
    if fewest is best_trial:
        within = sum(table.improvement(row.value, best_trial.value) >= -error for row in best)
        more = " More layers are no better." if count_layers(best_trial) < count_layers(best[-1]) else ""
        alone = "" if within > 1 else " No other number comes within one standard error."
        return f"{sentence} The best network has {_format_layer_count(count_layers(best_trial))}.{alone}{more}"
    gain = f"The best network has {_format_layer_count(count_layers(best_trial))}, but is better by less than one standard error"
    return f"{sentence} {gain}: {_format_layer_count(count_layers(fewest))} may be enough."


def _format_layer_count(count: int) -> str:
    return pluralize(count, "hidden layer") if count else "no hidden layer"


def plot_nodes_slice(table: TrialTable) -> Figure:
    """Each complete trial by the nodes of all its hidden layers; one without any is a line across."""
    trials = [row for row in table.complete_trials if count_nodes(row)]
    counts = sorted({*map(count_layers, trials)})
    series = [
        _plot_points(
            table, _format_layer_count(count), [row for row in trials if count_layers(row) == count], count_nodes
        )
        for count in counts
    ]
    if without_hidden := [row for row in table.complete_trials if not count_nodes(row)]:
        plain_score = table.clip_score(table.select_best(without_hidden).value)
        ends = [min(map(count_nodes, trials)), max(map(count_nodes, trials))] if trials else [1, 1]
        series.append(Series("no hidden layer", "line", ends, [plain_score, plain_score]))
    chart = Chart("nodes of all hidden layers", table.score_axis_title, tuple(series), log_x=True)
    return Figure("nodes", "How many nodes", _format_nodes_caption(table, trials, without_hidden), chart)


def _format_nodes_caption(
    table: TrialTable, trials: Sequence[TrialRecord], without_hidden: Sequence[TrialRecord]
) -> str:
    plain_note = (
        f" Without a hidden layer the best is {table.format_trial_score(table.select_best(without_hidden))}."
        if without_hidden
        else ""
    )
    if len(trials) < MIN_TRIALS or len({*map(count_nodes, trials)}) < 2:
        trial_count = pluralize(len(trials), "complete trial")
        return f"{trial_count} with hidden layers: too few different ones to say how many nodes are needed.{plain_note}"
    ordered = sorted(trials, key=count_nodes)
    middle = count_nodes(ordered[(len(ordered) - 1) // 2])
    narrow, wide = ([row for row in trials if (count_nodes(row) <= middle) is fits] for fits in (True, False))
    if not wide:
        narrow, wide = (
            [row for row in trials if count_nodes(row) < middle],
            [row for row in trials if count_nodes(row) == middle],
        )
        middle -= 1
    pair = table.select_best(narrow), table.select_best(wide)
    halves = [f"of those with {'at most' if fits else 'more than'} {middle:,} nodes the best has {table.format_trial_score(row)}"
              for row, fits in zip(pair, (True, False), strict=True)]  # fmt: skip
    return f"O{halves[0][1:]}, {halves[1]}: {_compare_widths(table, *pair)}.{plain_note}"


def _compare_widths(table: TrialTable, narrow: TrialRecord, wide: TrialRecord) -> str:
    gain, error = table.improvement(wide.value, narrow.value), table.select_best([narrow, wide]).standard_error
    if abs(gain) <= error:
        return "within one standard error, so that more nodes make no difference that can be seen"
    return f"more nodes did {'better' if gain > 0 else 'worse'}, by more than one standard error"
