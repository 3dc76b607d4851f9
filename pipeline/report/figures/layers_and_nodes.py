"""Score by number of hidden layers, and by number of nodes."""

from collections import Counter
from collections.abc import Sequence

from pipeline.report.drawing.figure import Chart, Figure, Series
from pipeline.report.figures.trial_points import plot_trials
from pipeline.report.network_selection import count_layers, count_nodes
from pipeline.report.phrases import format_layers, join_with_and
from pipeline.report.trials_table import TrialTable
from pipeline.runtime.text import pluralize
from pipeline.study.trial_record import TrialRecord

MIN_TRIALS = 4  # trials with hidden layers; halves of fewer are too small to compare


def plot_layers_slice(table: TrialTable) -> Figure:
    """Return each complete trial by its number of hidden layers, and the best of each number."""
    trials = table.complete_trials
    counts = sorted(set(map(count_layers, trials)))
    best_by_count = [table.select_best([each for each in trials if count_layers(each) == count]) for count in counts]
    line = plot_trials(table, "best of each", "line", best_by_count, count_layers, has_errors=True)
    points = plot_trials(table, "complete trials", "points", trials, count_layers)
    chart = Chart("hidden layers", table.score_axis_title, (line, points))
    return Figure("layers", "Score by number of hidden layers", _format_layers_caption(table, best_by_count), chart)


def _format_layers_caption(table: TrialTable, best_by_count: Sequence[TrialRecord]) -> str:
    if len(best_by_count) == 1:
        layers = format_layers(count_layers(best_by_count[0]))
        n_trials = pluralize(len(table.complete_trials), "complete trial")
        return f"{n_trials}, with {layers}: other numbers of layers cannot be compared."
    counts = Counter(map(count_layers, table.complete_trials))
    scores = [
        f"{table.format_trial_score(trial)} with {format_layers(layers)} ({pluralize(counts[layers], 'trial')})"
        for layers, trial in zip(map(count_layers, best_by_count), best_by_count, strict=True)
    ]
    best = table.select_best(best_by_count)
    error = table.best.standard_error
    within_error = [trial for trial in best_by_count if table.improvement(trial.value, best.value) >= -error]
    caption = f"Best score by number of layers: {join_with_and(scores)}."
    winner = f"The best network has {format_layers(count_layers(best))}"
    if within_error[0] is not best:
        fewest = format_layers(count_layers(within_error[0]))
        return f"{caption} {winner}, but is better by less than one standard error: {fewest} may be enough."
    alone = "" if len(within_error) > 1 else " No other number of layers is within one standard error."
    more = " More layers are no better." if best is not best_by_count[-1] else ""
    return f"{caption} {winner}.{alone}{more}"


def plot_nodes_slice(table: TrialTable) -> Figure:
    """Return each complete trial by the nodes of all its hidden layers; a network without any is a horizontal line."""
    trials = [trial for trial in table.complete_trials if count_nodes(trial)]
    series = []
    for count in sorted(set(map(count_layers, trials))):
        same_depth = [trial for trial in trials if count_layers(trial) == count]
        series.append(plot_trials(table, format_layers(count), "points", same_depth, count_nodes))
    caption = _format_nodes_caption(table, trials)
    without_hidden = [trial for trial in table.complete_trials if not count_nodes(trial)]
    if without_hidden:
        best = table.select_best(without_hidden)
        score = table.clip_score(best.value)
        ends = [min(map(count_nodes, trials)), max(map(count_nodes, trials))] if trials else [1, 1]
        series.append(Series(format_layers(0), "line", ends, [score, score]))
        caption += f" Without a hidden layer the best has {table.format_trial_score(best)}."
    chart = Chart("nodes of all hidden layers", table.score_axis_title, tuple(series), log_x=True)
    return Figure("nodes", "Score by number of nodes", caption, chart)


def _format_nodes_caption(table: TrialTable, trials: Sequence[TrialRecord]) -> str:
    """Return a comparison of the best trials of the narrower and the wider half of the networks."""
    counts = sorted(map(count_nodes, trials))
    if len(trials) < MIN_TRIALS or len(set(counts)) < 2:
        n_trials = pluralize(len(trials), "complete trial")
        return f"{n_trials} with hidden layers: too few different widths to compare."
    limit = counts[(len(counts) - 1) // 2]
    if limit == counts[-1]:  # half of the trials or more have the most nodes
        limit -= 1
    narrow = table.select_best([trial for trial in trials if count_nodes(trial) <= limit])
    wide = table.select_best([trial for trial in trials if count_nodes(trial) > limit])
    scores = f"The best with at most {limit:,} nodes has {table.format_trial_score(narrow)}"
    scores += f", the best with more has {table.format_trial_score(wide)}"
    gain = table.improvement(wide.value, narrow.value)
    if abs(gain) <= table.select_best([narrow, wide]).standard_error:
        return f"{scores}: within one standard error, so more nodes make no measurable difference."
    return f"{scores}: more nodes did {'better' if gain > 0 else 'worse'}, by more than one standard error."
